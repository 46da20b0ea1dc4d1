"""The frontier of a policy as a figure: accuracy against mean cost."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from tierexp.policies.replay_results import ReplayResults
from tierexp.results.policy_record import point_label

COST_LABELS = {
    "llm_vision_tokens": "vision tokens to the language model, mean per question",
    "selected_vision_tokens": "vision tokens selected, mean per question",
    "flops": "operations, mean per question",
    "latency_ms": "milliseconds, mean per question",
}


def write_figure(results: ReplayResults, target: Path) -> Path:
    """Draw a replay into a file.

    Args:
        results: To draw.
        target: File to write; its ending says the format.

    Returns:
        The file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    frontier_figure(results).savefig(target, dpi=150)
    return target


def frontier_figure(results: ReplayResults) -> Figure:
    """Accuracy against mean cost: the policy, its points, the mixture and the bound.

    Args:
        results: Results of a replay.
    """
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
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
    middle = (results.points[0].mean_cost + results.points[-1].mean_cost) / 2
    for point in results.points:
        # To the side on which there is room.
        right = point.mean_cost <= middle
        axes.annotate(
            point_label(point.policy), (point.mean_cost, 100 * point.accuracy),
            xytext=(4 if right else -4, -12), textcoords="offset points",
            horizontalalignment="left" if right else "right",
        )  # fmt: skip
    axes.margins(x=0.05, y=0.1)  # room for names
    axes.set_xlabel(COST_LABELS[results.at_budget.unit])
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{results.dataset}, {results.num_samples} questions", loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    axes.grid(alpha=0.25)
    return figure
