"""How runs differ: mismatch, crops, utilization, accuracy per task and against latency.

In: results of runs. Out: matplotlib figures; colours follow the run, in the order given. Reads no
files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.report.varying import run_labels
from tierexp.results.schema import EvaluationResults

_COLORS = (
    "#148f68", "#c1762f", "#5b6fd0", "#c7475f", "#6b8e23", "#7d4fa0", "#2f8f9d", "#8a6d3b",
)  # fmt: skip
Runs = Sequence[EvaluationResults]


def plain(text: str) -> str:
    """Text from data, which matplotlib would read as mathematics between dollar signs."""
    return text.replace("$", r"\$")


def _drawn_labels(runs: Runs) -> list[str]:
    return [plain(label) for label in run_labels(runs)]


def mismatch_distribution(runs: Runs) -> Figure:
    """For every run, the share of images whose mismatch is at most so much."""
    return _shares_below(
        runs, lambda run: [s.aspect_ratio_mismatch for s in run.per_sample_results],
        "aspect-ratio mismatch", "the further left and up, the better they fit",
    )  # fmt: skip


def utilization_distribution(runs: Runs) -> Figure:
    """For every run, the share of images whose utilization is at most so much."""
    return _shares_below(
        runs, lambda run: [100 * s.utilization for s in run.per_sample_results],
        "token utilization, %", "the further right, the fewer tokens are wasted",
    )  # fmt: skip


def crops_distribution(runs: Runs) -> Figure:
    """For every run, how often each crop count was selected."""
    figure, axes = _axes(height=0.9 + 0.45 * len(runs))
    for row, run in enumerate(runs):
        left = 0.0
        for crops, count in run.selected_crops_distribution.items():
            share = 100 * count / run.num_samples
            shade = 0.25 + 0.75 * min(crops, 15) / 15
            axes.barh(row, share, left=left, color=_COLORS[2], alpha=shade, height=0.7)
            if share >= 4:
                axes.text(left + share / 2, row, str(crops), ha="center", va="center", fontsize=8)
            left += share
    axes.set_yticks(range(len(runs)), _drawn_labels(runs))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the samples, % (numbers: crops)")
    return figure


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
    axes.set_ylim(0, 100)
    axes.legend(frameon=False, fontsize=8, ncols=2)
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
    for (run, label), color, (time, accuracy) in zip(timed, _cycle(timed), points, strict=True):
        low, high = run.accuracy_ci95 or (accuracy, accuracy)
        bars = [[100 * (accuracy - low)], [100 * (high - accuracy)]]
        axes.errorbar(time, 100 * accuracy, yerr=bars, fmt="o", color=color, capsize=3)
        axes.annotate(label, (time, 100 * accuracy), (6, 6), textcoords="offset points", fontsize=9)
    best = sorted(points[number] for number in pareto_frontier(points))
    axes.plot(
        [time for time, _ in best], [100 * accuracy for _, accuracy in best],
        linestyle="--", color="#888888", zorder=0, label="no other is faster and better",
    )  # fmt: skip
    axes.set_xlabel("time of an answer, ms (median, one sample at a time)")
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    axes.legend(frameon=False, fontsize=8)
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


def _shares_below(
    runs: Runs, values: Callable[[EvaluationResults], list[float]], label: str, hint: str
) -> Figure:
    figure, axes = _axes(height=3.4)
    for run, name, color in zip(runs, _drawn_labels(runs), _cycle(runs), strict=True):
        ordered = np.sort(values(run))
        shares = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step(ordered, shares, where="post", color=color, label=name)
    axes.set_xlabel(f"{label} ({hint})")
    axes.set_ylabel("share of the samples, %")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _cycle(runs: Sequence[object]) -> list[str]:
    return [_COLORS[number % len(_COLORS)] for number in range(len(runs))]
