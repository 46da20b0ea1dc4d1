"""The frontier of a policy as a figure: accuracy against mean cost."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from tierexp.policies.replay_results import ReplayResults
from tierexp.results.policy_record import point_label

_LABELS = {
    "llm_vision_tokens": "vision tokens to the language model, mean per question",
    "selected_vision_tokens": "vision tokens selected, mean per question",
    "flops": "operations, mean per question",
    "latency_ms": "milliseconds, mean per question",
}


def write_figure(results: ReplayResults, target: Path) -> Path:
    """Draw a replay.

    Args:
        results: To draw.
        target: File to write; its ending says the format.

    Returns:
        The file.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    cost = [record.mean_cost for record in results.frontier]
    accuracy = [100 * record.accuracy for record in results.frontier]
    low, high = ([100 * record.ci95[end] for record in results.frontier] for end in (0, 1))
    oracle = [(record.mean_cost, 100 * record.accuracy) for record in results.oracle]
    axes.plot(*zip(*oracle, strict=True), color="0.55", linestyle=":", label="oracle, the bound")
    axes.fill_between(cost, low, high, color="C0", alpha=0.18, linewidth=0)
    axes.plot(cost, accuracy, color="C0", label=f"{results.at_budget.policy} (95 % band)")
    axes.plot(
        results.hull.costs, [100 * a for a in results.hull.accuracies],
        color="C1", linestyle="--", label="random mixture",
    )  # fmt: skip
    axes.plot(
        [point.mean_cost for point in results.points],
        [100 * point.accuracy for point in results.points],
        "o", color="C1",
    )  # fmt: skip
    for point in results.points:
        axes.annotate(
            point_label(point.policy), (point.mean_cost, 100 * point.accuracy),
            xytext=(4, -12), textcoords="offset points",
        )  # fmt: skip
    axes.margins(x=0.08)  # room for the name of the dearest point
    axes.set_xlabel(_LABELS[results.at_budget.unit])
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{results.dataset}, {results.num_samples} questions", loc="left")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.25)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    return target
