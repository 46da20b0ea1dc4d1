"""What a policy does with every budget, and whether its chances come true, as figures.

In: replays. Out: matplotlib figures. Reads no files. The frontier itself is the replay's own figure
(`tierexp.policies.figure`).
"""

from __future__ import annotations

from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.policies.figure import COST_LABELS
from tierexp.policies.replay_results import ReplayResults
from tierexp.results.policy_record import point_label


def shares_figure(replay: ReplayResults) -> Figure:
    """Which points give the answers, along the budgets."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    budgets = [record.budget or 0.0 for record in replay.frontier]
    points = replay.at_budget.points
    shares = [
        [100 * record.share_of_points.get(point, 0.0) for record in replay.frontier]
        for point in points
    ]
    axes.stackplot(budgets, shares, labels=[point_label(point) for point in points], alpha=0.85)
    if replay.at_budget.budget is not None:
        axes.axvline(replay.at_budget.budget, color="black", linewidth=1, linestyle=":")
    axes.set_xlim(budgets[0], budgets[-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel(f"budget: {COST_LABELS[replay.at_budget.unit]}")
    axes.set_ylabel("answers, %")
    figure.legend(loc="outside lower center", ncols=min(len(points), 4), frameon=False)
    return figure


def calibration_figure(replay: ReplayResults) -> Figure:
    """Predicted chances beside what came true, the dots as large as they are many.

    Raises:
        DataError: The policy predicts none.
    """
    if not replay.calibration:
        raise DataError(f"the policy {replay.at_budget.policy} predicts no chances")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    most = max(bin_.count for bin_ in replay.calibration)
    axes.plot([0, 100], [0, 100], color="0.55", linestyle=":", label="as predicted")
    axes.plot(
        [100 * bin_.predicted for bin_ in replay.calibration],
        [100 * bin_.accuracy for bin_ in replay.calibration],
        color="C0", linewidth=1,
    )  # fmt: skip
    axes.scatter(
        [100 * bin_.predicted for bin_ in replay.calibration],
        [100 * bin_.accuracy for bin_ in replay.calibration],
        s=[20 + 160 * bin_.count / most for bin_ in replay.calibration],
        color="C0", label="questions at points (area: how many)",
    )  # fmt: skip
    axes.set_xlabel("predicted chance of a right answer, %")
    axes.set_ylabel("right answers, %")
    axes.legend(loc="upper left", frameon=False)
    axes.grid(alpha=0.25)
    return figure
