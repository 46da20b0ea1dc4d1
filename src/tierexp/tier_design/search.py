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
of images. All ranges together take about 4 M 2**M.

Totals are whole numbers (losses in units of a power of two, as small as 64 bits allow), so the
order of additions is of no account. What remains is the rounding of each image's loss; losses that
differ by less than 1e-11 of the largest are taken as equal. Of tiers that are
equal in crops and loss, the frontier holds the one with the narrowest range, then the lowest, then
with the fewest preferred counts, then with the smaller ones, compared from the largest down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tierexp.tier_design.classes import SizeClasses

_BITS = 62
"""The largest total has no more of them."""
_EQUAL = 2**18
"""Units of loss that make no difference: less than 1e-11 of the largest total."""


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
class _Point:
    """A tier and its totals in whole numbers; bit i of `preferred` stands for `first + i` crops."""

    crops: int
    loss: int
    first: int
    length: int
    preferred: int

    @property
    def precedence(self) -> tuple[int, ...]:
        """Which of equals goes first."""
        return self.length, self.first, self.preferred.bit_count(), self.preferred


def count_tiers(counts: int) -> int:
    """How many tiers there are within so many consecutive crop counts: ranges, and the non-empty
    sets of preferred counts in each.
    """
    return sum(2 ** (stop - start) - 1 for start, stop in _ranges(counts))


def find_frontier(classes: SizeClasses) -> list[Design]:
    """The tiers that no tier beats: each has the least loss of all that select no more crops.

    Args:
        classes: Classes of the images. Time and memory double with every crop count.

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
    front: list[_Point] = []
    for start, stop in _ranges(classes.rank.shape[1]):
        crops, loss = totals_by_preferred(
            classes.rank[:, start:stop], classes.good[:, start:stop], costs[:, :, start:stop]
        )
        first = classes.min_crops + start
        found = [
            _Point(int(crops[i]), int(loss[i]), first, stop - start, i)
            for i in _candidates(crops, loss, front)
        ]
        front = _merged([*front, *found])
    return [_design(point, scale) for point in front]


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
    rank = np.take_along_axis(rank, order, axis=1)
    good = np.take_along_axis(good, order, axis=1)
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
    return math.ldexp(1.0, _BITS - math.frexp(largest)[1]) if largest else 1.0


def _ranges(counts: int) -> Iterator[tuple[int, int]]:
    """Every `[start, stop)`, the narrowest first, the lowest of equals first."""
    for length in range(1, counts + 1):
        for start in range(counts - length + 1):
            yield start, start + length


def _candidates(
    crops: NDArray[np.int64], loss: NDArray[np.int64], front: list[_Point]
) -> list[int]:
    """The sets of preferred counts that might improve the front, which comes first among equals.

    Args:
        crops: (2**L,) totals of a range, by set.
        loss: (2**L,) totals.
        front: Ascending in crops.
    """
    # In floats, whose rounding is far below what counts as equal.
    limit = np.array([math.inf, *(point.loss - _EQUAL for point in front)])
    at = np.searchsorted([point.crops for point in front], crops, side="right")
    improving = np.flatnonzero(loss < limit[at])
    improving = improving[improving > 0]  # a tier prefers at least one count
    order = improving[np.lexsort((loss[improving], crops[improving]))]
    least = np.minimum.accumulate(loss[order])
    sets: list[int] = order[loss[order] <= least + _EQUAL].tolist()
    return sets


def _merged(points: list[_Point]) -> list[_Point]:
    """Those that no other one matches, ascending in crops."""
    front: list[_Point] = []
    for _, group in groupby(sorted(points, key=lambda p: p.crops), key=lambda p: p.crops):
        alike = list(group)
        least = min(point.loss for point in alike)
        if not front or least < front[-1].loss - _EQUAL:
            equal = (point for point in alike if point.loss <= least + _EQUAL)
            front.append(min(equal, key=lambda point: point.precedence))
    return front


def _design(point: _Point, scale: float) -> Design:
    counts = tuple(point.first + i for i in range(point.length) if point.preferred >> i & 1)
    last = point.first + point.length - 1
    return Design(point.first, last, counts, point.crops, point.loss / scale)
