"""Reduced runs beside tiers: whom each is compared with, by how much, and on which samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.results import FACTS, LANDSCAPE, PROVENANCE, with_metrics
from tierexp.errors import DataError
from tierexp.report.page import write_report
from tierexp.report.points_figure import points_curve
from tierexp.report.reduction_figure import reduction_curve
from tierexp.report.reductions import HEAD, method_of, rival_rows, rivals, task_rows
from tierexp.results.aggregate import aggregate
from tierexp.results.files import write_results
from tierexp.results.latency import LatencySettings, SampleLatency, aggregate_latency
from tierexp.results.schema import EvaluationResults

TASKS = ["read", "read", "count", "count"]


def run(
    tier: str, tokens: int, scores: Sequence[float], reduction: str | None = None
) -> EvaluationResults:
    samples = [
        with_metrics(
            replace(
                LANDSCAPE, sample_id=str(number), image_key=f"image {number}", accuracy=score,
                task=TASKS[number], tier=tier,
            ),
            llm_vision_tokens=tokens,
        )
        for number, score in enumerate(scores)
    ]  # fmt: skip
    target = f"tierexp.models.knobs.reduction.settings.{reduction or 'NoReduction'}"
    provenance = replace(PROVENANCE, config={"reduction": {"_target_": target}})
    return aggregate(samples, (), replace(FACTS, tier=tier), 1.0, provenance)


LOW = run("low", 357, [1, 0, 1, 0])
HIGH = run("high", 1213, [1, 1, 1, 1])
DIVERSE = run("high", 360, [1, 1, 0, 1], "DiverseTokens")
RANDOM = run("high", 1000, [0, 0, 1, 0], "RandomTokens")


def test_methods_are_told_by_their_settings() -> None:
    assert [method_of(r) for r in (LOW, DIVERSE, RANDOM)] == ["none", "diverse", "random"]
    older = replace(LOW, provenance=replace(PROVENANCE, config={"seed": 0}))
    assert method_of(older) == "none"


def test_each_is_beside_the_tier_closest_in_tokens() -> None:
    found = rivals([RANDOM, HIGH, DIVERSE, LOW])
    assert [(one.method, one.tier) for one in found] == [("diverse", "low"), ("random", "high")]
    diverse, random = found
    assert diverse.difference.mean == pytest.approx(0.25)
    assert diverse.by_task["read"].mean == pytest.approx(0.5)
    assert diverse.by_task["count"].mean == pytest.approx(0.0)
    assert random.difference.mean == pytest.approx(-0.75)
    low, high = diverse.difference.ci95
    # Of four images two differ by one and minus one, and one by one more: any mean of four draws.
    assert -1 <= low < 0.25 < high <= 1


def test_points_are_compared_where_the_other_knobs_are_the_same() -> None:
    few = {"top_k": 1, "num_active_blocks": 14}
    low, diverse = with_knobs(run("low", 357, [1, 1, 1, 1]), few), with_knobs(DIVERSE, few)
    runs = [LOW, HIGH, DIVERSE, low, diverse]
    found = {(one.reduced_tier, one.tier): one for one in rivals(runs)}
    assert set(found) == {
        ("high · top 8", "low · top 8"), ("high · top 1", "low · top 1"),
    }  # fmt: skip
    assert found["high · top 8", "low · top 8"].difference.mean == pytest.approx(0.25)
    assert found["high · top 1", "low · top 1"].difference.mean == pytest.approx(-0.25)
    # Split by the smallest tier of the same setting, which answers all.
    assert found["high · top 1", "low · top 1"].easy == 0.75
    assert found["high · top 1", "low · top 1"].hard is None
    names = [row[0] for row in rival_rows(runs)]
    assert names == [
        "tier low · top 1", "diverse of high · top 1", "tier low · top 8",
        "diverse of high · top 8", "tier high · top 8",
    ]  # fmt: skip


def with_knobs(results: EvaluationResults, knobs: dict[str, int]) -> EvaluationResults:
    return replace(
        results, knobs=dict(knobs), top_k=knobs["top_k"],
        num_active_blocks=knobs["num_active_blocks"],
    )  # fmt: skip


def test_every_point_and_the_best_are_drawn() -> None:
    few = with_knobs(run("low", 357, [0, 0, 1, 0]), {"top_k": 1, "num_active_blocks": 3})
    axes = points_curve([HIGH, LOW, DIVERSE, RANDOM, few]).axes[0]
    drawn = axes.collections[0].get_offsets()
    expected = [[1213, 100], [357, 50], [360, 75], [1000, 25], [357, 25]]
    assert np.asarray(drawn).tolist() == expected
    best = np.column_stack(axes.lines[0].get_data()).tolist()
    assert best == [[357, 50], [360, 75], [1213, 100]]
    assert "tokens" in axes.get_xlabel()


def test_points_are_drawn_by_operations_where_all_were_counted() -> None:
    points = [with_flops(LOW, 2e9), with_flops(DIVERSE, 5e9)]
    axes = points_curve(points).axes[0]
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [[2, 50], [5, 75]]
    assert "operations" in axes.get_xlabel()
    assert "tokens" in points_curve([points[0], DIVERSE]).axes[0].get_xlabel()
    with pytest.raises(DataError, match="two"):
        points_curve([LOW])


def with_flops(results: EvaluationResults, total: float) -> EvaluationResults:
    half, quarter = int(total / 2), int(total / 4)
    timed = SampleLatency(1.0, 1.0, 1.0, 1.0, 3.0, 2, half, quarter, quarter)
    samples = tuple(replace(s, latency=timed) for s in results.per_sample_results)
    latency = aggregate_latency(LatencySettings(), [timed] * len(samples), 0)
    return replace(results, per_sample_results=samples, latency=latency)


def test_samples_are_split_by_what_the_smallest_tier_answers() -> None:
    diverse, random = rivals([LOW, HIGH, DIVERSE, RANDOM])
    assert (diverse.easy, diverse.hard) == (0.5, 1.0)
    assert (random.easy, random.hard) == (0.5, 0.0)


def test_the_table_has_tiers_and_their_rivals() -> None:
    rows = rival_rows([LOW, HIGH, DIVERSE, RANDOM])
    assert [row[0] for row in rows] == [
        "tier low", "diverse of high", "tier high", "random of high",
    ]  # fmt: skip
    assert all(len(row) == len(HEAD) for row in rows)
    assert rows[0][1:] == ("357", "50.0 %", "", "100.0 %", "0.0 %")
    assert rows[1][:3] == ("diverse of high", "360", "75.0 %")
    assert rows[1][3].startswith("+25.0 (")
    assert rows[2][-2:] == ("100.0 %", "100.0 %")


def test_without_both_kinds_there_is_nothing_to_compare() -> None:
    for runs in ([LOW, HIGH], [DIVERSE], []):
        assert rival_rows(runs) == []
        with pytest.raises(DataError, match="tiers and of reduced"):
            reduction_curve(runs)


def test_the_figure_draws_every_run_where_it_is() -> None:
    axes = reduction_curve([LOW, HIGH, DIVERSE, RANDOM]).axes[0]
    drawn = [np.column_stack(line.get_data()).tolist() for line in axes.lines]
    assert [[360.0, 75.0]] in drawn
    assert [[1000.0, 25.0]] in drawn
    assert [[357.0, 50.0], [1213.0, 100.0]] in drawn
    _, labels = axes.get_legend_handles_labels()
    assert sorted(labels) == ["diverse", "random", "tiers"]


@pytest.mark.usefixtures("without_figures")
def test_the_page_has_the_table_and_the_figure(tmp_path: Path) -> None:
    for number, result in enumerate([LOW, HIGH, DIVERSE, RANDOM]):
        write_results(result, tmp_path / str(number) / result.file_name)
    text = write_report(tmp_path).read_text("utf-8")
    assert 'id="reductions"' in text
    assert "diverse of high" in text
    assert "By task" in text
    head, diverse, random = task_rows([LOW, HIGH, DIVERSE, RANDOM])
    assert head == ("method", "tokens", "count", "read")
    assert diverse[:2] == ("diverse of high", "360")
    assert [cell.split()[0] for cell in diverse[2:]] == ["+0.0", "+50.0"]
    assert all(cell in text for cell in (*diverse, *random))
    assert (tmp_path / "figures" / "reductions.svg").is_file()
    only = tmp_path / "0"
    assert "thrown away" not in write_report(only).read_text("utf-8")
