"""A target for people: digits that tell it apart, and whether the interval decides."""

from __future__ import annotations

import pytest

from tierexp.results.check import Check


def check(figure: float, low: float, high: float, target: float = 0.9) -> Check:
    return Check("utilization_p5", figure, (low, high), target, True, 10, 5)


def test_digits_tell_a_number_from_its_target() -> None:
    assert check(0.9000004, 0.95, 0.97).words[1] == "0.9000004"
    assert check(0.8999, 0.85, 0.89996).words[1:3] == ("0.8999", "0.850 to 0.89996")
    assert check(0.951, 0.94, 0.96).words[1] == "0.951"
    # What is the target itself has no digit that would tell it apart.
    assert check(0.9, 0.9, 0.95).words[1] == "0.900"


@pytest.mark.parametrize(
    ("figure", "low", "high", "verdict"),
    [
        (0.95, 0.92, 0.97, "met"), (0.95, 0.89, 0.97, "met, uncertain"),
        (0.85, 0.80, 0.88, "missed"), (0.85, 0.80, 0.91, "missed, uncertain"),
        (0.95, 0.90, 0.97, "met, uncertain"),
    ],
)  # fmt: skip
def test_an_interval_that_spans_the_target_is_uncertain(
    figure: float, low: float, high: float, verdict: str
) -> None:
    assert check(figure, low, high).verdict == verdict
