"""Policies that look at no question: one point for all, and the random mixture of two.

In: what every point cost and reached in earlier results. Out: decisions. The mixture is the
baseline that matters: whatever a policy knows, it has to beat a coin that spends as much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.policies.allocation import Choice
from tierexp.policies.costs import Unit
from tierexp.policies.decision import Plan, single_pass
from tierexp.policies.questions import Questions
from tierexp.policies.sweep import Sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PointFigures:
    """Metrics of one point on the questions a policy was fitted on.

    Args:
        point: Its name.
        accuracy: Mean score.
        mean_cost: By unit.
    """

    point: str
    accuracy: float
    mean_cost: dict[str, float]


def point_figures(sweep: Sweep) -> tuple[PointFigures, ...]:
    """Metrics of every point of a sweep."""
    return tuple(
        PointFigures(
            name,
            float(sweep.accuracy[:, n].mean()),
            {unit: float(cost[:, n].mean()) for unit, cost in sweep.costs.items()},
        )
        for n, name in enumerate(sweep.points)
    )


@dataclass(frozen=True)
class Hull:
    """The best that random mixtures of points reach at every mean cost.

    Args:
        points: (K) numbers of the points that are worth mixing, the cheapest first.
        costs: (K) their mean costs, ascending.
        accuracies: (K) their mean scores, ascending.
    """

    points: tuple[int, ...]
    costs: tuple[float, ...]
    accuracies: tuple[float, ...]

    def accuracy(self, cost: Floats | float) -> Floats:
        """Accuracy of the mixture that costs so much; the ends go on level."""
        return np.asarray(np.interp(cost, self.costs, self.accuracies))

    def shares(self, budget: float) -> tuple[int, int, float]:
        """The two neighbours to mix, and the share of the dearer."""
        above = int(np.searchsorted(self.costs, budget, side="right"))
        if above == 0:
            return self.points[0], self.points[0], 0.0
        if above == len(self.costs):
            return self.points[-1], self.points[-1], 0.0
        low, high = self.costs[above - 1], self.costs[above]
        return self.points[above - 1], self.points[above], (budget - low) / (high - low)


def mixture_hull(costs: Sequence[float], accuracies: Sequence[float]) -> Hull:
    """The upper concave hull of points, as far as it rises.

    Args:
        costs: (P) mean costs.
        accuracies: (P) mean scores.
    """
    kept: list[int] = []
    # Of points that cost the same, the best comes last and drops the others.
    for point in sorted(range(len(costs)), key=lambda n: (costs[n], accuracies[n])):
        if kept and accuracies[point] <= accuracies[kept[-1]]:
            continue
        while kept and costs[kept[-1]] == costs[point]:
            kept.pop()
        while len(kept) > 1 and _below(kept[-2], kept[-1], point, costs, accuracies):
            kept.pop()
        kept.append(point)
    return Hull(tuple(kept), tuple(costs[n] for n in kept), tuple(accuracies[n] for n in kept))


def _below(
    first: int, middle: int, last: int, costs: Sequence[float], accuracies: Sequence[float]
) -> bool:
    """Whether the middle point is on or below the line through the others."""
    rise = (accuracies[middle] - accuracies[first]) * (costs[last] - costs[first])
    return rise <= (accuracies[last] - accuracies[first]) * (costs[middle] - costs[first])


@dataclass(frozen=True)
class Lookup:
    """The best point that earlier results have for the budget, for every question.

    Args:
        figures: Figures of the points in earlier results, in the sweep's order.
    """

    figures: tuple[PointFigures, ...]
    name: str = "lookup"
    own_ms: float = 0.0

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """See `Policy`; below the cheapest point's mean cost, the cheapest."""
        choose = self.chooser(sweep.asked, unit)
        return lambda budget: single_pass(choose(budget), len(sweep.points))

    def chooser(self, asked: Questions, unit: Unit) -> Callable[[float], Choice]:
        """From a budget to the number of every question's point, (N,)."""
        costs = [figures.mean_cost[unit] for figures in self.figures]

        def choose(budget: float) -> Choice:
            # A budget that is a point's own cost must not miss it by a rounding.
            within = [n for n, cost in enumerate(costs) if cost <= budget * (1 + 1e-12)]
            cheapest = int(np.argmin(costs))
            best = max(within, key=lambda n: self.figures[n].accuracy, default=cheapest)
            return np.full(len(asked), best)

        return choose


@dataclass(frozen=True)
class Mixture:
    """Two neighbours on the hull of earlier results, drawn at random so that the mean cost is the
    budget.

    Args:
        figures: Figures of the points in earlier results, in the sweep's order.
        seed: Seed of the draw, which goes by the image and the question's words.
    """

    figures: tuple[PointFigures, ...]
    seed: int = 0
    name: str = "mixture"
    own_ms: float = 0.0

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """See `Policy`."""
        choose = self.chooser(sweep.asked, unit)
        return lambda budget: single_pass(choose(budget), len(sweep.points))

    def chooser(self, asked: Questions, unit: Unit) -> Callable[[float], Choice]:
        """From a budget to the number of every question's point, (N,)."""
        hull = mixture_hull(
            [figures.mean_cost[unit] for figures in self.figures],
            [figures.accuracy for figures in self.figures],
        )
        drawn = self._draw(asked)

        def choose(budget: float) -> Choice:
            low, high, share = hull.shares(budget)
            return np.where(drawn < share, high, low)

        return choose

    def _draw(self, asked: Questions) -> Floats:
        """(N,) of every question a number in [0, 1), the same on every machine and in every order
        of the questions.
        """
        named = zip(asked.images, asked.texts, strict=True)
        return np.array([_uniform(self.seed, f"{image}/{text}") for image, text in named])


def _uniform(seed: int, name: str) -> float:
    """In [0, 1), of a seed and a name."""
    digest = hashlib.sha256(f"mixture/{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


@dataclass(frozen=True)
class Fixed:
    """One point for every question, whatever the budget.

    Args:
        point: Its number.
        name: Its name.
    """

    point: int
    name: str
    own_ms: float = 0.0

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:  # noqa: ARG002
        """See `Policy`."""
        decision = single_pass(np.full(len(sweep), self.point), len(sweep.points))
        return lambda budget: decision  # noqa: ARG005
