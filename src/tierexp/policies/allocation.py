"""Spending a mean budget on many samples, each of which has options.

In: for every sample the cost and the expected worth of its options. Out: one option for each. With
a price on cost, every sample takes the option of the greatest worth less price; as the price falls,
samples move, one at a time, along the upper concave hull of their options. Those moves, sorted by
what they gain per unit of cost, are all breakpoints of the Lagrangian, so that one sort answers
every budget. Sinha and Zoltners, "The Multiple-Choice Knapsack Problem" (1979), for the relaxation.
Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = NDArray[np.int64]
"""(N,): of every sample the number of its option."""


@dataclass(frozen=True)
class Allocation:
    """All solutions, from the cheapest to the one that no budget improves.

    Args:
        start: (N,) the option of each sample at the least cost.
        start_cost: The least mean cost.
        sample: (M,) whose move is the next, as the price falls.
        option: (M,) where it moves to.
        mean_cost: (M,) mean cost after each move, ascending.
        price: (M,) worth per unit of cost of each move, descending and above 0.
    """

    start: Choice
    start_cost: float
    sample: Choice
    option: Choice
    mean_cost: Floats
    price: Floats

    def within(self, budget: float) -> Choice:
        """The best choice whose mean cost is at most `budget`; it falls short of it by less than
        one move, unless no further move is worth anything.

        Args:
            budget: Mean cost; below `start_cost` nothing is cheaper than `start`.
        """
        # A budget that is some choice's mean cost must not be missed by the rounding of a sum.
        count = int(np.searchsorted(self.mean_cost, budget * (1 + 1e-12), side="right"))
        return self.at(count)

    def at(self, moves: int) -> Choice:
        """The choice after so many moves."""
        choice = self.start.copy()
        # Later moves of a sample overwrite its earlier ones.
        choice[self.sample[:moves]] = self.option[:moves]
        return choice

    def priced(self, price: float) -> Choice:
        """The choice at a price: of every sample the option of the greatest worth less price."""
        return self.at(int(np.count_nonzero(self.price > price)))


def allocate(worth: Floats, cost: Floats) -> Allocation:
    """Every Lagrangian solution of choosing one option a sample.

    Args:
        worth: (N, P) of every sample and option, finite.
        cost: (N, P), finite.

    Returns:
        Moves of equal price are in the samples' order, so that budgets between them can be met too.
    """
    samples, count = worth.shape
    current = _cheapest(worth, cost)
    start = current.copy()
    rows, steepest = np.arange(samples), np.full(samples, np.inf)
    moves: list[tuple[Floats, Choice, Choice, Floats]] = []
    for _ in range(count - 1):
        added = cost - cost[rows, current][:, None]  # (N, P)
        gained = worth - worth[rows, current][:, None]
        possible = (added > 0) & (gained > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(possible, gained / added, -np.inf)
        # Of options on one line the farthest: the ones between are no breakpoints.
        best = slope.max(axis=1)
        target = np.where(slope == best[:, None], added, -np.inf).argmax(axis=1)
        # A hull's slopes descend; rounding must not let a later move come first.
        best = steepest = np.minimum(best, steepest)
        moving = np.flatnonzero(best > 0)
        if not len(moving):
            break
        moves.append((best[moving], moving, target[moving], added[moving, target[moving]]))
        current[moving] = target[moving]
    start_cost = float(cost[rows, start].mean())
    if not moves:
        none = np.zeros(0, np.int64)
        return Allocation(start, start_cost, none, none, np.zeros(0), np.zeros(0))
    price, sample, option, added_cost = (np.concatenate(part) for part in zip(*moves, strict=True))
    # Of equally steep moves of one sample the earlier comes first.
    rank = np.concatenate([np.full(len(part[0]), number) for number, part in enumerate(moves)])
    order = np.lexsort((rank, sample, -price))
    mean_cost = start_cost + np.cumsum(added_cost[order]) / samples
    return Allocation(start, start_cost, sample[order], option[order], mean_cost, price[order])


def _cheapest(worth: Floats, cost: Floats) -> Choice:
    """The option of the least cost for every sample, of several the one of the greatest worth."""
    least = cost == cost.min(axis=1, keepdims=True)
    chosen: Choice = np.where(least, worth, -np.inf).argmax(axis=1)
    return chosen
