"""Intervals against published ones."""

from __future__ import annotations

import math

import pytest

from tierexp.results.intervals import wilson_interval


@pytest.mark.parametrize(
    ("right", "count", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_intervals_are_those_of_newcombe_1998(
    right: int, count: int, interval: tuple[float, float]
) -> None:
    """Table I of "Two-sided confidence intervals for the single proportion", method 3."""
    assert wilson_interval(right / count, count) == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_the_bounds_solve_the_score_equation(count: int) -> None:
    for right in range(count + 1):
        mean = right / count
        low, high = wilson_interval(mean, count)
        assert 0 <= low <= mean <= high <= 1
        for bound in {low, high} - {0.0, 1.0}:
            assert abs(mean - bound) / math.sqrt(bound * (1 - bound) / count) == pytest.approx(
                1.959964, abs=1e-5
            )


def test_no_interval_without_scores() -> None:
    with pytest.raises(ValueError, match="over 0 scores"):
        wilson_interval(0.5, 0)
    with pytest.raises(ValueError, match=r"mean of 1\.5"):
        wilson_interval(1.5, 3)
