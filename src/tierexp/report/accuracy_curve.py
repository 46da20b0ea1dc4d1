"""Accuracy against vision tokens: tiers, fixed counts and the native rule in one figure.

In: the results of some configurations on one data set. Out: a matplotlib figure. Reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.report.compared import compared
from tierexp.report.figures import draw_frontier, legend_below, plain
from tierexp.report.labels import place_labels
from tierexp.report.varying import varying
from tierexp.results.schema import EvaluationResults

_STYLES = {"tiers": ("#148f68", "o"), "fixed counts": ("#cc5a3f", "s"), "native": ("#7a7aa8", "D")}


def accuracy_curve(runs: Sequence[EvaluationResults], chance: float | None = None) -> Figure:
    """Draw accuracy with its 95 % interval against the mean number of selected vision tokens.

    Args:
        runs: At least one, alike in all but the crop policy.
        chance: Accuracy of a guess from the question alone, drawn as a dotted line.

    Raises:
        DataError: Nothing to draw, or runs that cannot be compared.
    """
    drawn = [run for run in runs if run.accuracy is not None]
    if not drawn:
        raise DataError("no results with an accuracy to draw")
    for name, values in varying([compared(run) for run in drawn]).items():
        raise DataError(f"results of more than one {name}: {', '.join(sorted(set(values)))}")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for series in _STYLES:
        _draw_series(axes, series, [run for run in drawn if _series(run) == series])
    draw_frontier(axes, [*map(_point, drawn)], "no other has fewer tokens and is better")
    if chance is not None:
        axes.axhline(100 * chance, label="chance", color="#888888", linestyle=":")
    axes.set_xlabel("vision tokens selected, mean per image")
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    samples = sorted({run.num_samples for run in drawn})
    counts = " to ".join(str(count) for count in sorted({samples[0], samples[-1]}))
    axes.set_title(
        plain(f"{drawn[0].dataset}, model {drawn[0].model}, {counts} questions"), fontsize=11
    )
    axes.grid(alpha=0.3)
    legend_below(figure, axes)
    ordered = sorted(drawn, key=lambda run: ([*_STYLES].index(_series(run)), _point(run)))
    place_labels(
        axes,
        [_point(run) for run in ordered],
        [plain(run.tier.removeprefix("fixed_")) for run in ordered],
        [_STYLES[_series(run)][0] for run in ordered],
    )
    return figure


def _draw_series(axes: Axes, series: str, runs: Sequence[EvaluationResults]) -> None:
    """Runs of one kind of crop policy, in one colour."""
    if not runs:
        return
    color, marker = _STYLES[series]
    points = sorted(runs, key=_point)
    means = [_point(run)[1] for run in points]
    bounds = [run.accuracy_ci95 or (0, 0) for run in points]
    below = [mean - 100 * low for mean, (low, _) in zip(means, bounds, strict=True)]
    above = [100 * high - mean for mean, (_, high) in zip(means, bounds, strict=True)]
    axes.errorbar(
        [_point(run)[0] for run in points], means, yerr=[below, above], color=color,
        marker=marker, label=series, capsize=3, linewidth=1.6,
    )  # fmt: skip


def _point(run: EvaluationResults) -> tuple[float, float]:
    """(tokens, accuracy in %)."""
    return run.aggregates["selected_vision_tokens_mean"] or 0.0, 100 * (run.accuracy or 0.0)


def _series(run: EvaluationResults) -> str:
    if run.tier.startswith("fixed_"):
        return "fixed counts"
    return "native" if run.tier == "native" else "tiers"
