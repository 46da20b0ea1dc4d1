"""Accuracy against the vision tokens that the language model receives: tiers, and every method that
throws some of a tier's tokens away.

In: results of one data set and model. Out: a matplotlib figure. Reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.report.reductions import method_of, plain_runs, tokens_of
from tierexp.results.schema import EvaluationResults

_MARKERS = "svP*XD<>h^"


def reduction_curve(runs: Sequence[EvaluationResults]) -> Figure:
    """Draw the tiers as one line, and each method as another.

    Args:
        runs: Some of them reduced, some not.

    Raises:
        DataError: There are none of a kind.
    """
    plain = plain_runs(runs)
    methods: dict[str, list[EvaluationResults]] = {}
    for run in runs:
        if run.accuracy is not None and method_of(run) != "none":
            methods.setdefault(method_of(run), []).append(run)
    if not plain or not methods:
        raise DataError("a figure of reductions needs results of tiers and of reduced ones")
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    tokens, means = _points(plain)
    bounds = [run.accuracy_ci95 or (0.0, 0.0) for run in plain]
    below = [mean - 100 * low for mean, (low, _) in zip(means, bounds, strict=True)]
    above = [100 * high - mean for mean, (_, high) in zip(means, bounds, strict=True)]
    axes.errorbar(
        tokens, means, yerr=[below, above], color="#148f68", marker="o", capsize=3, linewidth=2.2,
        label="tiers",
    )  # fmt: skip
    for run, x, y in zip(plain, tokens, means, strict=True):
        axes.annotate(run.tier, (x, y), (6, -14), textcoords="offset points", color="#148f68")
    best = sorted(methods, key=lambda name: -max(run.accuracy or 0 for run in methods[name]))
    for number, name in enumerate(best):
        tokens_left, reached = _points(sorted(methods[name], key=tokens_of))
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(
            tokens_left,
            reached,
            marker=marker,
            linewidth=1,
            linestyle="--",
            color=f"C{number}",
            label=name,
        )
    axes.set_xlabel("vision tokens in the language model, mean per image")
    axes.set_ylabel("accuracy, % (bars: 95 % interval)")
    counts = sorted({run.num_samples for run in runs})
    samples = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    axes.set_title(f"{plain[0].dataset}, model {plain[0].model}, {samples} questions", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _points(runs: Sequence[EvaluationResults]) -> tuple[list[float], list[float]]:
    return (
        [tokens_of(run) for run in runs],
        [100 * (run.accuracy or 0.0) for run in runs],
    )
