"""Every tier of a range of crop counts, measured at once, and those that no other one beats.

In: classes of image sizes (`classes.divide`). Out: the Pareto frontier of (crops, loss), ascending
in crops. The search is exhaustive, so what it finds is optimal: a tier is a range within the counts
and a non-empty set of preferred ones, listed ascending, 261,972 of them for counts 1 to 16.

No tier is looked at by itself. For a class of images and a range, let n_1, n_2, ... be the counts
that are good (below the threshold), nearest first, the smaller of equals first; where none is good,
the equally near nearest ones. A tier gives the class the first n_j that it prefers, and n_1 where
it prefers none of them. With v_j what n_j costs and S_j = {n_1, ..., n_j}, that is

    v_1 + sum over j of (v_{j+1} - v_j) [no count of S_j is preferred],  v_{J+1} = v_1,

a sum over subsets S_j of the counts that are *not* preferred. Its values for all 2**L sets of a
range of L counts come from one subset-sum (zeta) transform: L 2**L additions, whatever the number
of images. All ranges together take about M**2 2**M.

Totals are whole numbers (losses in units of a power of two, as small as 64 bits allow), so that
tiers with equal outcomes tie exactly, whatever the order of additions. Of tiers that tie in both,
the frontier holds the one with the narrowest range, then the lowest, then with the fewest preferred
counts, then with the smaller ones, compared from the largest down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.tier_design.classes import SizeClasses


@dataclass(frozen=True)
class Design:
    """A tier and what it does to all images.

    Args:
        min_crops: Fewest crops a selection may have.
        max_crops: Most crops a selection may have.
        preferred_crops: Counts considered first, ascending.
        crops: Selected for all images together.
        loss: The objective, summed over all images.
    """

    min_crops: int
    max_crops: int
    preferred_crops: tuple[int, ...]
    crops: int
    loss: float


@dataclass(frozen=True)
class _Points:
    """Tiers that do not dominate each other, in columns; ascending in crops, descending in loss."""

    crops: NDArray[np.int64]
    loss: NDArray[np.int64]
    first: NDArray[np.int64]
    """The tier's fewest crops."""
    length: NDArray[np.int64]
    """How many counts are in its range."""
    preferred: NDArray[np.int64]
    """Bit i: whether it prefers `first + i` crops."""

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        return self.crops, self.loss, self.first, self.length, self.preferred

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> _Points:
        return _Points(*(column[index] for column in self.columns()))


def count_tiers(counts: int) -> int:
    """How many tiers there are within so many consecutive crop counts: ranges, and the non-empty
    sets of preferred counts in each.
    """
    return sum(2 ** (stop - start) - 1 for start, stop in _ranges(counts))


def find_frontier(classes: SizeClasses) -> list[Design]:
    """The tiers that no tier beats: each has the least loss of all that select no more crops.

    Args:
        classes: Of the images. Time and memory double with every crop count.

    Returns:
        At least one tier; from each to the next, crops grow and the loss falls.
    """
    scale = _scale(classes.loss)
    costs = np.stack(
        [
            classes.images[:, None] * (classes.min_crops + np.arange(classes.rank.shape[1])),
            np.rint(classes.loss * scale).astype(np.int64),
        ]
    )  # (2, K, M)
    none = np.empty(0, np.int64)
    front = _Points(none, none, none, none, none)
    for start, stop in _ranges(classes.rank.shape[1]):
        crops, loss = totals_by_preferred(
            classes.rank[:, start:stop], classes.good[:, start:stop], costs[:, :, start:stop]
        )
        preferred = np.arange(1, len(crops))  # a tier prefers at least one count
        first, length = (np.full_like(preferred, n) for n in (start, stop - start))
        found = _Points(crops[1:], loss[1:], first + classes.min_crops, length, preferred)
        front = _merged(front, found.take(~_matched(found, front)))
    return [_design(row, scale) for row in zip(*(c.tolist() for c in front.columns()), strict=True)]


def totals_by_preferred(
    rank: NDArray[np.int64], good: NDArray[np.bool_], costs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What each tier of a range of L counts costs, by the set of counts it prefers.

    Args:
        rank: (K, L): `SizeClasses.rank` of the range.
        good: (K, L): `SizeClasses.good` of the range.
        costs: (C, K, L): of each count for the images of a class, in C kinds.

    Returns:
        (C, 2**L): the total over all classes where bit i says whether count i of the range is
        preferred. Entry 0, no count preferred, belongs to no tier.
    """
    length = rank.shape[1]
    order = np.argsort(rank, axis=1, kind="stable")  # nearest first, the smaller of equals first
    rank, good = (np.take_along_axis(column, order, axis=1) for column in (rank, good))
    costs = np.take_along_axis(costs, order[None], axis=2)
    nearest = (rank == rank[:, :1]) & ~good[:, :1]  # the nearest is not good, so none is
    listed = good | nearest  # (K, L): a prefix of each row
    following = np.roll(listed, -1, axis=1)
    following[:, -1] = False
    steps = np.where(following, np.roll(costs, -1, axis=2), costs[:, :, :1]) - costs
    unpreferred = np.cumsum(1 << order, axis=1)  # S_j as bits
    totals = np.zeros((len(costs), 1 << length), np.int64)
    for kind, step in zip(totals, steps, strict=True):
        np.add.at(kind, unpreferred[listed], step[listed])
    for bit in range(length):
        halves = totals.reshape(len(costs), -1, 2, 1 << bit)
        halves[:, :, 1] += halves[:, :, 0]
    totals += costs[:, :, 0].sum(axis=1)[:, None]
    # By unpreferred counts so far; the complement of set s is 2**L - 1 - s.
    return totals[:, ::-1]


def _scale(loss: NDArray[np.float64]) -> float:
    """A power of two that makes losses whole numbers whose sums stay below 2**62."""
    largest = float(loss.max(axis=1).sum()) * (loss.shape[1] + 1)
    return math.ldexp(1.0, 62 - math.frexp(largest)[1]) if largest else 1.0


def _ranges(counts: int) -> Iterator[tuple[int, int]]:
    """Every `[start, stop)`, the narrowest first, the lowest of equals first."""
    for length in range(1, counts + 1):
        for start in range(counts - length + 1):
            yield start, start + length


def _matched(points: _Points, front: _Points) -> NDArray[np.bool_]:
    """(N,): whether the front has a tier with no more crops and no more loss."""
    if not len(front.crops):
        return np.zeros(len(points.crops), np.bool_)
    index = np.searchsorted(front.crops, points.crops, side="right") - 1
    matched: NDArray[np.bool_] = (index >= 0) & (front.loss[index] <= points.loss)
    return matched


def _merged(front: _Points, found: _Points) -> _Points:
    """The front of both; of equals an earlier range's, fewest preferred, smallest preferred."""
    size = np.bitwise_count(found.preferred)
    found = found.take(np.lexsort((found.preferred, size)))
    both = _Points(
        *(np.concatenate(pair) for pair in zip(front.columns(), found.columns(), strict=True))
    )
    both = both.take(np.lexsort((both.loss, both.crops)))  # stable
    improved = np.ones(len(both.crops), np.bool_)
    improved[1:] = both.loss[1:] < np.minimum.accumulate(both.loss)[:-1]
    return both.take(improved)


def _design(row: tuple[int, ...], scale: float) -> Design:
    crops, loss, first, length, preferred = row
    counts = tuple(first + i for i in range(length) if preferred >> i & 1)
    return Design(first, first + length - 1, counts, crops, loss / scale)
