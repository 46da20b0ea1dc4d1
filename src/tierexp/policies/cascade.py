"""The cascade: answers at a cheap point first, and goes on while the answer is doubtful.

In: the confidence of the passes it has run. Out: further passes. Every pass is paid. A chain names
the points it may run, in order, and for each but the last a threshold: an answer whose mean
log-probability is below it is given up for the next point's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError, DataError
from tierexp.policies.costs import Unit
from tierexp.policies.decision import Decision, Plan
from tierexp.policies.static import mixture_hull
from tierexp.policies.sweep import Sweep

Floats = NDArray[np.float64]
_QUANTILES = 32
_PRICES = 40
_ROUNDS = 3


@dataclass(frozen=True)
class Chain:
    """One cascade.

    Args:
        points: Numbers of the points it may run, the cheapest first.
        thresholds: One fewer; an answer below its threshold is given up.
        mean_cost: On the questions of the fitting.
        accuracy: On the questions of the fitting.
    """

    points: tuple[int, ...]
    thresholds: tuple[float, ...]
    mean_cost: float = 0.0
    accuracy: float = 0.0


@dataclass(frozen=True)
class Cascade:
    """The best chain that the fitting found for the budget.

    Args:
        chains: By unit; each dearer and better on the questions of the fitting than the one before.
    """

    chains: dict[str, tuple[Chain, ...]]
    name: str = "cascade"
    own_ms: float = 0.0

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """See `Policy`; below the cheapest chain's mean cost, the cheapest chain."""
        return lambda budget: run_chain(self.chain_within(unit, budget), sweep)

    def chain_within(self, unit: Unit, budget: float) -> Chain:
        """The best chain whose mean cost on the questions of the fitting is within the budget.

        Raises:
            DataError: The cascade was fitted on results without the unit.
        """
        if unit not in self.chains:
            raise DataError(f"the cascade was fitted on results without {unit}")
        chains = self.chains[unit]
        within = [chain for chain in chains if chain.mean_cost <= budget * (1 + 1e-12)]
        return within[-1] if within else chains[0]


def run_chain(chain: Chain, sweep: Sweep) -> Decision:
    """What a chain runs, question by question."""
    passes = np.zeros(sweep.accuracy.shape, dtype=np.bool_)
    final = np.full(len(sweep), chain.points[0])
    going_on = np.ones(len(sweep), dtype=np.bool_)
    for step, point in enumerate(chain.points):
        passes[:, point] = going_on
        final = np.where(going_on, point, final)
        if step < len(chain.thresholds):
            going_on = going_on & (sweep.confidence[:, point] < chain.thresholds[step])
    return Decision(passes, final)


def check_thresholds(chain: Chain, sweep: Sweep) -> None:
    """Refuse thresholds that do nothing.

    Raises:
        ConfigError: No answer that comes to a step is below its threshold.
    """
    going_on = np.ones(len(sweep), dtype=np.bool_)
    for point, threshold in zip(chain.points, chain.thresholds, strict=False):
        confidence = sweep.confidence[going_on, point]
        going_on = going_on & (sweep.confidence[:, point] < threshold)
        if not going_on.any():
            allowed = (
                f"above {confidence.min():.4f}: no answer of {sweep.points[point]} that comes to "
                "it is below it"
            )
            raise ConfigError("policy.thresholds", threshold, allowed)


def fit_chains(sweep: Sweep, unit: Unit) -> tuple[Chain, ...]:
    """The chains on the upper hull of mean cost and accuracy.

    For every subset of the points and a range of prices, each threshold in turn is set to the best
    of its quantiles, three rounds.

    Raises:
        DataError: The results hold no confidence.
    """
    if not np.isfinite(sweep.confidence).all():
        raise DataError(
            "these results hold no confidence of their answers; runs of this version record it"
        )
    found: list[Chain] = []
    rise = np.ptp(sweep.accuracy.mean(axis=0)) / np.ptp(sweep.cost(unit).mean(axis=0))
    prices = rise * np.logspace(-2, 2, _PRICES)
    for length in range(1, len(sweep.points) + 1):
        for points in combinations(range(len(sweep.points)), length):
            thresholds = [-np.inf] * (length - 1)
            for price in prices:
                thresholds = _best_thresholds(sweep, unit, points, thresholds, float(price))
                found.append(_measured(Chain(points, tuple(thresholds)), sweep, unit))
    hull = mixture_hull([c.mean_cost for c in found], [c.accuracy for c in found])
    # The hull leaves gaps that a budget can fall into: every chain that is worth its cost is kept.
    best, kept = -1.0, []
    for chain in sorted(found, key=lambda c: (c.mean_cost, -c.accuracy)):
        if chain.accuracy > best and chain.mean_cost <= hull.costs[-1]:
            best = chain.accuracy
            kept.append(_writable(chain))
    return tuple(kept)


def _best_thresholds(
    sweep: Sweep, unit: Unit, points: Sequence[int], start: Sequence[float], price: float
) -> list[float]:
    thresholds = list(start)
    options = [
        [-np.inf, *np.quantile(sweep.confidence[:, point], np.linspace(0, 1, _QUANTILES)), np.inf]
        for point in points[:-1]
    ]
    for _ in range(_ROUNDS):
        before = list(thresholds)
        for step, values in enumerate(options):
            worths = []
            for value in values:
                tried = [*thresholds[:step], float(value), *thresholds[step + 1 :]]
                decision = run_chain(Chain(tuple(points), tuple(tried)), sweep)
                worth = decision.accuracy(sweep).mean() - price * decision.cost(sweep, unit).mean()
                worths.append(worth)
            thresholds[step] = float(values[int(np.argmax(worths))])
        if thresholds == before:
            break
    return thresholds


def _measured(chain: Chain, sweep: Sweep, unit: Unit) -> Chain:
    decision = run_chain(chain, sweep)
    return Chain(
        chain.points,
        chain.thresholds,
        float(decision.cost(sweep, unit).mean()),
        float(decision.accuracy(sweep).mean()),
    )


def _writable(chain: Chain) -> Chain:
    """JSON has no infinity; log-probabilities are at most 0, and none is as low as this."""
    limited = tuple(float(np.clip(t, -1e300, 1e300)) for t in chain.thresholds)
    return Chain(chain.points, limited, chain.mean_cost, chain.accuracy)
