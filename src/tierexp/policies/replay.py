"""What a policy would have done with a static sweep's questions: every budget in one go.

In: a sweep, a policy, a unit. Out: the frontier of accuracy against mean cost, its 95 % bands, the
mixture's hull, the oracle, and what of the area between these two is won. Every answer is there
already: nothing is run. Bands are paired bootstraps with images drawn as a whole
(`tierexp.results.intervals`). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError
from tierexp.policies.costs import Unit
from tierexp.policies.decision import Decision, Plan, Policy, own_cost
from tierexp.policies.oracle import Oracle
from tierexp.policies.static import Hull, mixture_hull
from tierexp.policies.sweep import Sweep
from tierexp.results.intervals import combined_interval, intervals, mean_interval, mean_of
from tierexp.results.policy_record import PolicyRecord

Floats = NDArray[np.float64]
_GRID = 201
"""Costs at which areas are summed."""


@dataclass(frozen=True)
class Difference:
    """A policy beside something else on the same questions.

    Args:
        other: The point or the policy it is compared with.
        budget: Mean cost that both were given; the point's own where it is one.
        mean_cost: Mean cost of the policy.
        other_cost: Cost of the other.
        difference: Accuracy of the policy less that of the other.
        ci95: Paired 95 % interval of the difference.
    """

    other: str
    budget: float
    mean_cost: float
    other_cost: float
    difference: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Area:
    """Between the mixture's hull and a frontier, from the cheapest point's cost to the dearest's.

    Args:
        above_mixture: Mean height of the frontier above the hull.
        of_oracle: The same of the oracle.
        share: Fraction of the oracle's area that is won.
        share_ci95: Its 95 % interval.
        least: The smallest height anywhere between the two points.
    """

    above_mixture: float
    of_oracle: float
    share: float
    share_ci95: tuple[float, float]
    least: float


def check_budget(budget: float, written: object, sweep: Sweep, unit: Unit) -> None:
    """Refuse a budget that no policy can spend or keep.

    Raises:
        ConfigError: It is below the cheapest point's mean cost, or above the dearest's.
    """
    means = [float(mean) for mean in sweep.cost(unit).mean(axis=0)]
    check_budget_between(budget, written, sweep.points, means, unit)


def check_budget_between(
    budget: float, written: object, points: Sequence[str], means: Sequence[float], unit: Unit
) -> None:
    """The same, of points whose mean costs are known otherwise.

    Raises:
        ConfigError: See `check_budget`.
    """
    low, high = min(means), max(means)
    tolerance = 1e-9 * high
    if not low - tolerance <= budget <= high + tolerance:
        cheapest, dearest = points[means.index(low)], points[means.index(high)]
        allowed = f"from {low:.1f}, the mean {unit} of {cheapest}, to {high:.1f}, that of {dearest}"
        raise ConfigError("policy.budget", written, allowed)


def hull_of(sweep: Sweep, unit: Unit) -> Hull:
    """The hull of the random mixtures of the points, on these very questions."""
    cost = sweep.cost(unit).mean(axis=0)
    return mixture_hull(list(map(float, cost)), list(map(float, sweep.accuracy.mean(axis=0))))


def budgets_between(sweep: Sweep, unit: Unit, count: int) -> list[float]:
    """Evenly from the cheapest point's mean cost to the dearest's."""
    means = sweep.cost(unit).mean(axis=0)
    return [float(b) for b in np.linspace(means.min(), means.max(), count)]


@dataclass(frozen=True)
class Replayed:
    """A policy made up its mind about a sweep's questions, whatever the budget.

    Args:
        name: Name of the policy.
        sweep: The questions.
        unit: Unit of budgets and costs.
        plan: From a budget to what is decided.
        own: What the deciding costs per question, in the unit.
    """

    name: str
    sweep: Sweep
    unit: Unit
    plan: Plan
    own: float

    def spent(self, decision: Decision) -> float:
        """The mean cost of a decision."""
        return float(decision.cost(self.sweep, self.unit, self.own).mean())


def replay(policy: Policy, sweep: Sweep, unit: Unit) -> Replayed:
    """Let a policy look at the questions, once."""
    return Replayed(policy.name, sweep, unit, policy.plan(sweep, unit), own_cost(policy, unit))


def frontier(replayed: Replayed, budgets: Sequence[float]) -> tuple[PolicyRecord, ...]:
    """What a policy does with each of these budgets."""
    sweep = replayed.sweep
    hull, found = hull_of(sweep, replayed.unit), []
    decisions = [replayed.plan(budget) for budget in budgets]
    scores = [decision.accuracy(sweep) for decision in decisions]
    bands = intervals([mean_of(own) for own in scores], sweep.images)
    for budget, decision, own, interval in zip(budgets, decisions, scores, bands, strict=True):
        spent, accuracy = replayed.spent(decision), float(own.mean())
        found.append(
            PolicyRecord(
                replayed.name, sweep.points, replayed.unit, float(budget), spent, accuracy,
                interval, decision.shares(sweep.points), accuracy - float(hull.accuracy(spent)),
            )
        )  # fmt: skip
    return tuple(found)


def against_points(replayed: Replayed) -> tuple[Difference, ...]:
    """A policy beside every static point, given that point's mean cost."""
    sweep, found = replayed.sweep, []
    for column, point in enumerate(sweep.points):
        cost = float(sweep.cost(replayed.unit)[:, column].mean())
        decision = replayed.plan(cost)
        gained = decision.accuracy(sweep) - sweep.accuracy[:, column]
        found.append(
            Difference(
                point, cost, replayed.spent(decision), cost, float(gained.mean()),
                mean_interval(gained, sweep.images),
            )
        )  # fmt: skip
    return tuple(found)


def against_policy(
    replayed: Replayed, other: Replayed, label: str, budgets: Sequence[float]
) -> tuple[Difference, ...]:
    """A policy beside another one on the same questions, given the same budgets."""
    sweep, found = replayed.sweep, []
    for budget in budgets:
        mine, theirs = replayed.plan(budget), other.plan(budget)
        gained = mine.accuracy(sweep) - theirs.accuracy(sweep)
        found.append(
            Difference(
                label, float(budget), replayed.spent(mine), other.spent(theirs),
                float(gained.mean()), mean_interval(gained, sweep.images),
            )
        )  # fmt: skip
    return tuple(found)


def area_won(replayed: Replayed, budgets: Sequence[float]) -> Area:
    """How much of what there is to win a policy wins.

    Args:
        replayed: The policy.
        budgets: From the cheapest point's mean cost to the dearest's; the frontier is straight
            between them.
    """
    sweep, unit = replayed.sweep, replayed.unit
    grid = np.linspace(budgets[0], budgets[-1], _GRID)
    own = _on_grid(replayed, budgets, grid)
    best = _on_grid(replay(Oracle(), sweep, unit), budgets, grid)
    hull = hull_of(sweep, unit)
    # The hull at a cost is a mixture of two points: of every question, that share of both scores.
    mixed = np.stack([_mixed(hull, sweep, float(cost)) for cost in grid])
    won, possible = (own - mixed).mean(axis=0), (best - mixed).mean(axis=0)
    heights = (own - mixed).mean(axis=1)
    return Area(
        above_mixture=float(won.mean()),
        of_oracle=float(possible.mean()),
        share=float(won.mean() / possible.mean()),
        share_ci95=combined_interval([won, possible], sweep.images, lambda a, b: a / b),
        # At its two ends a frontier cannot but touch the hull.
        least=float(heights[1:-1].min()),
    )


def _on_grid(replayed: Replayed, budgets: Sequence[float], grid: Floats) -> Floats:
    """(G, N) scores of every question along the frontier, straight between its budgets."""
    decisions = [replayed.plan(budget) for budget in budgets]
    costs = np.array([replayed.spent(decision) for decision in decisions])
    scores = np.stack([decision.accuracy(replayed.sweep) for decision in decisions])
    order = np.argsort(costs, kind="stable")
    costs, scores = costs[order], scores[order]
    above = np.clip(np.searchsorted(costs, grid, side="right"), 1, len(costs) - 1)
    span = np.maximum(costs[above] - costs[above - 1], 1e-12)
    share = np.clip((grid - costs[above - 1]) / span, 0, 1)[:, None]
    mixed: Floats = (1 - share) * scores[above - 1] + share * scores[above]
    return mixed


def _mixed(hull: Hull, sweep: Sweep, cost: float) -> Floats:
    low, high, share = hull.shares(cost)
    scores: Floats = (1 - share) * sweep.accuracy[:, low] + share * sweep.accuracy[:, high]
    return scores
