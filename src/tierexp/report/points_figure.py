"""Every operating point in one figure: tiers crossed with what the model's knobs are set to.

In: results of one data set and model. Out: a matplotlib figure. Reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.report.figures import legend_below, pareto_frontier, plain
from tierexp.report.labels import place_labels
from tierexp.report.varying import labels_of
from tierexp.results.schema import EvaluationResults

_BEST, _OTHERS = "#148f68", "#b9b9b9"
_GIGA = 1e9
_STAGES = ("flops_vision", "flops_prefill", "flops_decode")


def point_cost(run: EvaluationResults) -> float | None:
    """Mean estimated operations of an answer, in units of 1e9; None where nobody counted them."""
    if run.latency is None:
        return None
    timed = [sample.latency for sample in run.per_sample_results if sample.latency is not None]
    counts = [[getattr(one, stage) for stage in _STAGES] for one in timed]
    if not counts or any(count is None for of_sample in counts for count in of_sample):
        return None
    return float(sum(map(sum, counts))) / len(counts) / _GIGA


def points_curve(runs: Sequence[EvaluationResults]) -> Figure:
    """Draw accuracy against operations, or against the language model's vision tokens where some
    run did not count operations; the points that no other beats in both have their names.

    Args:
        runs: Runs, of which two or more have an accuracy.

    Raises:
        DataError: They have not.
    """
    drawn = [run for run in runs if run.accuracy is not None]
    if len(drawn) < 2:
        raise DataError("a figure of operating points needs two of them")
    found = [point_cost(run) for run in drawn]
    costs = [cost for cost in found if cost is not None]
    counted = len(costs) == len(drawn)
    if not counted:
        costs = [run.aggregates["llm_vision_tokens_mean"] or 0.0 for run in drawn]
    points = [(cost, 100 * (run.accuracy or 0.0)) for cost, run in zip(costs, drawn, strict=True)]
    best = sorted(pareto_frontier(points), key=lambda number: points[number])
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*zip(*points, strict=True), color=_OTHERS, label="operating points")
    axes.plot(
        *zip(*(points[number] for number in best), strict=True), color=_BEST, marker="o",
        linestyle="--", label="no other costs less and is better",
    )  # fmt: skip
    unit = (
        "estimated operations of an answer, 1e9, mean"
        if counted
        else ("vision tokens in the language model, mean per image")
    )
    axes.set_xlabel(unit)
    axes.set_ylabel("accuracy, %")
    axes.set_title(plain(f"{drawn[0].dataset}, model {drawn[0].model}"), fontsize=11)
    axes.grid(alpha=0.3)
    legend_below(figure, axes)
    labels = labels_of(drawn)
    place_labels(
        axes, [points[number] for number in best], [plain(labels[number]) for number in best],
        [_BEST] * len(best),
    )  # fmt: skip
    return figure
