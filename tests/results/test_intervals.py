"""Intervals against published ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tierexp.results.intervals import (
    DRAWS,
    SEED,
    Quantile,
    intervals,
    mean_of,
    wilson_interval,
)


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


def drawn_plainly(images: list[str], statistic: object) -> tuple[float, float]:
    """Every draw of the same generator, sample by sample."""
    assert callable(statistic)
    names = sorted(set(images))
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(DRAWS):
        drawn = rng.multinomial(len(names), [1 / len(names)] * len(names))
        times = dict(zip(names, drawn, strict=True))
        found.append(statistic(np.array([times[image] for image in images])))
    low, high = np.percentile(found, [2.5, 97.5])
    return low, high


def weighted_quantile(values: np.ndarray, weights: np.ndarray, quantile: float) -> float:
    wanted, reached = max(quantile * weights.sum(), 1), 0
    for place in np.argsort(values, kind="stable"):
        reached += weights[place]
        if reached >= wanted:
            return float(values[place])
    raise AssertionError


@pytest.mark.parametrize("shared", [True, False])
def test_intervals_are_those_of_a_loop_over_draws(shared: bool) -> None:
    """Values that an image's samples share, and values of their own; quantiles near both ends."""
    rng = np.random.default_rng(5)
    images = [f"i{number}" for number in rng.integers(40, size=150)]
    of_image = {name: rng.gamma(2.0) for name in set(images)}
    values = np.array([of_image[name] if shared else rng.gamma(2.0) for name in images])
    quantiles = (0.01, 0.05, 0.5, 0.95, 0.99)
    found = intervals([mean_of(values), *(Quantile(values, q) for q in quantiles)], images)
    expected = [drawn_plainly(images, lambda w: (w * values).sum() / w.sum())]
    expected += [
        drawn_plainly(images, lambda w, q=q: weighted_quantile(values, w, q)) for q in quantiles
    ]
    for ours, plain in zip(found, expected, strict=True):
        assert ours == pytest.approx(plain, abs=1e-12)


def test_draws_that_are_not_kept_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    values, images = rng.normal(size=90), [f"i{number}" for number in rng.integers(30, size=90)]
    first = intervals([mean_of(values), Quantile(values, 0.95)], images)
    kept = intervals([mean_of(values), Quantile(values, 0.95)], images)  # asked a second time
    assert kept == first
    monkeypatch.setattr("tierexp.results.intervals._KEPT", 0)
    monkeypatch.setattr("tierexp.results.intervals._BLOCK", 70)  # two draws at once
    found = intervals([mean_of(values), Quantile(values, 0.95)], images)
    assert np.array(found) == pytest.approx(np.array(kept), abs=1e-12)
