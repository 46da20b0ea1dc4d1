"""The curve shows the numbers of the results, and refuses to join what cannot be compared."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.results import FACTS, KNOBS, LANDSCAPE, PROVENANCE, SQUARE, with_metrics
from tierexp.errors import DataError
from tierexp.report.accuracy_curve import accuracy_curve
from tierexp.results.aggregate import aggregate
from tierexp.results.schema import EvaluationResults


def results(tier: str, tokens: int, **facts: object) -> EvaluationResults:
    samples = [with_metrics(s, selected_vision_tokens=tokens) for s in (LANDSCAPE, SQUARE)]
    return aggregate(samples, [], dataclasses.replace(FACTS, tier=tier, **facts), 1.0, PROVENANCE)


def test_points_and_bars_are_those_of_the_results() -> None:
    runs = [results("medium", 1008), results("low", 432), results("fixed_288", 288)]
    (axes,) = accuracy_curve(runs, chance=0.25).axes
    tiers, fixed = axes.containers
    assert tiers.get_label() == "tiers"
    assert tiers.lines[0].get_xydata().tolist() == [[432, 50], [1008, 50]]
    assert fixed.lines[0].get_xydata().tolist() == [[288, 50]]
    bars = tiers.lines[2][0].get_segments()
    low, high = runs[0].accuracy_ci95 or (0, 0)
    assert bars[0][:, 1].tolist() == pytest.approx([100 * low, 100 * high])
    assert [text.get_text() for text in axes.texts] == ["low", "medium", "288"]
    assert [25, 25] in [list(line.get_ydata()) for line in axes.lines]


def test_whatever_is_in_the_legend_can_be_seen() -> None:
    """The best runs are joined, also where a curve takes the same way; one alone is no line."""
    low, high = results("low", 432), results("high", 2016)
    right = dataclasses.replace(high, accuracy=1.0, accuracy_ci95=(0.4, 1.0))
    for runs, path in (
        ([low, right], [[432, 50], [2016, 100]]),
        ([low, results("fixed_288", 288), high], None),  # as good and cheaper
        ([low, low], None),
        ([low], None),
    ):
        (axes,) = accuracy_curve(runs).axes
        found = [line for line in axes.lines if str(line.get_label()).startswith("no other")]
        assert [line.get_xydata().tolist() for line in found] == ([] if path is None else [path])
        curve = axes.containers[0].lines[0]
        for line in found:
            assert line.get_linewidth() > curve.get_linewidth() + 2
            assert line.get_zorder() < curve.get_zorder()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dataset", "x"),
        ("model", "x"),
        ("score", "x"),
        ("top_k", {**KNOBS, "top_k": 1}),
        ("num_active_blocks", {**KNOBS, "num_active_blocks": 3}),
    ],
)
def test_what_cannot_be_compared_is_not_joined(name: str, other: object) -> None:
    field = "knobs" if isinstance(other, dict) else name
    with pytest.raises(DataError, match=name):
        accuracy_curve([results("low", 432), results("medium", 1008, **{field: other})])


def test_nothing_is_not_drawn() -> None:
    with pytest.raises(DataError, match="no results"):
        accuracy_curve([aggregate([], [], FACTS, 1.0, PROVENANCE)])
