"""How runs differ: mismatch, crops, utilization, accuracy per task and against latency.

In: results of runs. Out: matplotlib figures; colours follow the run, in the order given. Reads no
files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.report.labels import place_labels
from tierexp.report.varying import labels_of
from tierexp.results.columns import numbers
from tierexp.results.model_free import ModelFreeResults
from tierexp.results.schema import EvaluationResults

_COLORS = (
    "#148f68", "#c1762f", "#5b6fd0", "#c7475f", "#6b8e23", "#7d4fa0", "#2f8f9d", "#8a6d3b",
)  # fmt: skip
_SHADES = ("#d7e8f7", "#a9cbe9", "#77a9d6", "#4a84bd", "#2b619b", "#174273")
"""Colours of crop counts, few to many; opaque, so that what is written on them is legible."""
_MOST_CROPS = 15
_STEPS = 2000
_OUTLIER = 1.5
"""An axis ends so many times the range of the middle 80 % of the samples beyond these."""
_LOG_FROM = 8.0
"""Times that differ by so much are drawn on a logarithmic axis."""
Runs = Sequence[EvaluationResults]
AnyRuns = Sequence[EvaluationResults | ModelFreeResults]


def plain(text: str) -> str:
    """Text from data, which matplotlib would read as mathematics between dollar signs."""
    return text.replace("$", r"\$")


def _drawn_labels(runs: AnyRuns) -> list[str]:
    return [plain(label) for label in labels_of(runs)]


def mismatch_distribution(runs: Runs) -> Figure:
    """For every run, the fraction of images whose mismatch is at most so much."""
    return _fractions_below(
        runs, lambda run: numbers(run.per_sample_results, "aspect_ratio_mismatch"),
        "aspect-ratio mismatch", "the further left and up, the better they fit",
    )  # fmt: skip


def utilization_distribution(runs: Runs) -> Figure:
    """For every run, the fraction of images whose utilization is at most so much."""
    return _fractions_below(
        runs, lambda run: 100 * numbers(run.per_sample_results, "utilization"),
        "token utilization, %", "the further right, the fewer tokens are wasted",
    )  # fmt: skip


def mismatch_histograms(runs: Sequence[ModelFreeResults]) -> Figure:
    """For every run without a model, the fraction of images below the edges of its histogram."""
    figure, axes = _axes(height=3.4)
    for run, name, color in zip(runs, _drawn_labels(runs), _cycle(runs), strict=True):
        histogram = run.aspect_ratio_mismatch_histogram
        below = 100 * np.cumsum([0, *histogram.counts[:-1]]) / max(1, run.num_samples)
        axes.plot(histogram.edges, below, color=color, label=name)
    axes.set_xlabel("aspect-ratio mismatch (the further left and up, the better they fit)")
    axes.set_ylabel("images with less, %")
    axes.set_ylim(0, 100)
    legend_below(figure, axes)
    return figure


def crops_distribution(runs: AnyRuns) -> Figure:
    """For every run, how often each crop count was selected."""
    figure, axes = _axes(height=0.9 + 0.45 * len(runs))
    for row, run in enumerate(runs):
        left = 0.0
        for crops, count in run.selected_crops_distribution.items():
            percent = 100 * count / run.num_samples
            shade = _SHADES[min(crops - 1, _MOST_CROPS - 1) * len(_SHADES) // _MOST_CROPS]
            axes.barh(row, percent, left=left, color=shade, edgecolor="#ffffff", height=0.7)
            if percent >= 4:
                axes.text(
                    left + percent / 2, row, str(crops), ha="center", va="center", fontsize=8,
                    color=ink_on(shade),
                )  # fmt: skip
            left += percent
    axes.set_yticks(range(len(runs)), _drawn_labels(runs))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("fraction of the samples, % (numbers: crops)")
    return figure


def ink_on(color: str) -> str:
    """Black or white, whichever is easier to read on a colour (relative luminance of WCAG 2)."""
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def accuracy_by_task(runs: Runs) -> Figure:
    """For every task and run, accuracy with its 95 % interval."""
    tasks = sorted({task for run in runs for task in run.accuracy_by_task})
    figure, axes = _axes(height=3.6)
    offsets = np.linspace(-0.3, 0.3, len(runs)) if len(runs) > 1 else np.zeros(1)
    styles = zip(runs, _drawn_labels(runs), _cycle(runs), offsets, strict=True)
    for run, label, color, offset in styles:
        there = [number for number, task in enumerate(tasks) if task in run.accuracy_by_task]
        found = [run.accuracy_by_task[tasks[number]] for number in there]
        means = np.array([100 * task.accuracy for task in found])
        bounds = np.array([task.accuracy_ci95 for task in found]) * 100
        axes.errorbar(
            np.array(there) + offset, means, yerr=[means - bounds[:, 0], bounds[:, 1] - means],
            fmt="o", color=color, capsize=2, markersize=4, label=label,
        )  # fmt: skip
    axes.set_xticks(range(len(tasks)), [plain(task) for task in tasks])
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    axes.set_ylim(-3, 103)  # a point at 0 or 100 is whole
    legend_below(figure, axes)
    return figure


def accuracy_against_latency(runs: Runs) -> Figure:
    """Accuracy against the median time of an answer, and the runs that no other beats in both.

    Raises:
        DataError: No run was timed.
    """
    timed = [
        (run, label)
        for run, label in zip(runs, _drawn_labels(runs), strict=True)
        if run.latency is not None and run.accuracy is not None
    ]
    if not timed:
        raise DataError("no results with a latency to draw")
    points = [latency_point(run) for run, _ in timed]
    figure, axes = _axes(height=4.0)
    colors = _cycle(timed)
    for (run, _), color, (time, accuracy) in zip(timed, colors, points, strict=True):
        low, high = run.accuracy_ci95 or (accuracy, accuracy)
        bars = [[100 * (accuracy - low)], [100 * (high - accuracy)]]
        axes.errorbar(time, 100 * accuracy, yerr=bars, fmt="o", color=color, capsize=3)
    shown = [(time, 100 * accuracy) for time, accuracy in points]
    draw_frontier(axes, shown, "no other is faster and better")
    times = [time for time, _ in points]
    if min(times) > 0 and max(times) > _LOG_FROM * min(times):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("time of an answer, ms (median, one sample at a time)")
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    legend_below(figure, axes)
    place_labels(axes, shown, [label for _, label in timed], colors)
    return figure


def latency_point(run: EvaluationResults) -> tuple[float, float]:
    """(median of T_total in ms, accuracy) of a run that was timed."""
    assert run.latency is not None
    assert run.accuracy is not None
    return run.latency.stages["T_total"].p50, run.accuracy


def pareto_frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, value) points no other beats: none has as much for less or more for as much."""
    return [
        number
        for number, (cost, value) in enumerate(points)
        if not any(
            other[0] <= cost and other[1] >= value and other != (cost, value) for other in points
        )
    ]


def _fractions_below(
    runs: Runs, values: Callable[[EvaluationResults], NDArray[np.float64]], label: str, hint: str
) -> Figure:
    figure, axes = _axes(height=3.4)
    every = []
    for run, name, color in zip(runs, _drawn_labels(runs), _cycle(runs), strict=True):
        ordered = np.sort(values(run))
        percents = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        # No eye tells more steps apart, and a page holds each of them.
        shown = np.unique(np.linspace(0, len(ordered) - 1, _STEPS).round().astype(int))
        axes.step(ordered[shown], percents[shown], where="post", color=color, label=name)
        every.append(ordered)
    beyond = _leave_outliers_out(axes, np.concatenate(every))
    axes.set_xlabel(f"{label} ({hint}){beyond}")
    axes.set_ylabel("fraction of the samples, %")
    axes.set_ylim(0, 100)
    legend_below(figure, axes)
    return figure


def _leave_outliers_out(axes: Axes, values: NDArray[np.float64]) -> str:
    """End the horizontal axis not far from where most values do: others would squeeze them.

    Returns:
        What to say of it.
    """
    low, high = np.percentile(values, [10, 90])
    room = _OUTLIER * (high - low)
    if high <= low:
        return ""
    left, right = low - room, high + room
    beyond = int(((values < left) | (values > right)).sum())
    if not beyond:
        return ""
    axes.set_xlim(max(left, values.min() - 0.05 * room), min(right, values.max() + 0.05 * room))
    return f"\n{beyond} of {len(values)} samples lie beyond"


def draw_frontier(axes: Axes, points: Sequence[tuple[float, float]], label: str) -> None:
    """Join the points that no other beats by a broad line, which shows below a curve that takes the
    same way; one point alone has no line, and no entry in the legend.

    Args:
        axes: To draw on.
        points: (cost, value), in the axes' units.
        label: What the line says.
    """
    best = sorted(points[number] for number in pareto_frontier(points))
    if len(set(best)) > 1:
        axes.plot(
            [cost for cost, _ in best], [value for _, value in best],
            color="#888888", alpha=0.35, linewidth=7, solid_capstyle="round", zorder=0, label=label,
        )  # fmt: skip


def legend_below(figure: Figure, axes: Axes) -> None:
    """The legend under the axes, where it covers no curve."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 2 if max(map(len, labels)) <= 40 else 1
        figure.legend(
            handles, labels, loc="outside lower center", frameon=False, fontsize=8, ncols=columns
        )


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _cycle(runs: Sequence[object]) -> list[str]:
    return [_COLORS[number % len(_COLORS)] for number in range(len(runs))]
