"""Accuracy against vision tokens: tiers, fixed counts and the native rule in one figure.

In: the results of some configurations on one data set. Out: a matplotlib figure. Reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.report.figures import pareto_frontier
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
    for name, values in varying(drawn).items():
        raise DataError(f"results of more than one {name}: {', '.join(sorted(set(values)))}")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for series, (color, marker) in _STYLES.items():
        points = sorted(
            (run for run in drawn if _series(run) == series),
            key=lambda run: run.selected_vision_tokens_mean or 0,
        )
        if not points:
            continue
        tokens = [run.selected_vision_tokens_mean or 0 for run in points]
        means = [100 * (run.accuracy or 0) for run in points]
        bounds = [run.accuracy_ci95 or (0, 0) for run in points]
        below = [mean - 100 * low for mean, (low, _) in zip(means, bounds, strict=True)]
        above = [100 * high - mean for mean, (_, high) in zip(means, bounds, strict=True)]
        axes.errorbar(
            tokens, means, yerr=[below, above], color=color, marker=marker, label=series,
            capsize=3, linewidth=1.6,
        )  # fmt: skip
        for run, x, y in zip(points, tokens, means, strict=True):
            label = run.tier.removeprefix("fixed_")
            # Fixed counts to the lower right, the others to the upper left: they lie close by.
            shift = (6, -14) if series == "fixed counts" else (-6, 8)
            side = "left" if series == "fixed counts" else "right"
            axes.annotate(
                label, (x, y), shift, textcoords="offset points", color=color, ha=side, fontsize=9
            )
    every = [(run.selected_vision_tokens_mean or 0, 100 * (run.accuracy or 0)) for run in drawn]
    best = sorted(every[number] for number in pareto_frontier(every))
    axes.plot(
        [tokens for tokens, _ in best], [accuracy for _, accuracy in best], linestyle="--",
        color="#888888", zorder=0, label="no other has fewer tokens and is better",
    )  # fmt: skip
    if chance is not None:
        axes.axhline(100 * chance, label="chance", color="#888888", linestyle=":")
    axes.set_xlabel("vision tokens selected, mean per image")
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    samples = sorted({run.num_samples for run in drawn})
    counts = " to ".join(str(count) for count in sorted({samples[0], samples[-1]}))
    axes.set_title(f"{drawn[0].dataset}, model {drawn[0].model}, {counts} questions", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="best")
    return figure


def _series(run: EvaluationResults) -> str:
    if run.tier.startswith("fixed_"):
        return "fixed counts"
    return "native" if run.tier == "native" else "tiers"
