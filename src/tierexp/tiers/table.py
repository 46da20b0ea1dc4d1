"""A tier compiled to sorted breakpoints: which tiling wins, as a function of the aspect ratio.

In: a tier, a geometry and a threshold. Out: a table that answers for one aspect ratio with a
bisection and for an array of them with one sorted look-up, exactly as the loop that defines the
selection (`winning_tiling`) does. Aspect ratios are quotients of whole pixels, so mismatches are
rational numbers and are compared as such: a tie is a tie. Knows nothing about images, nor about
what a mismatch is recorded as.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.threshold import Threshold

_NEAR = 1e-12
"""Relative distance to a breakpoint below which floats are not trusted to tell the side. Far above
their rounding error, and far below the distance of two different aspect ratios of real images."""


class CropCounts(Protocol):
    """The crop counts of a tier; hashable."""

    @property
    def preferred_crops(self) -> tuple[int, ...]:
        """Counts considered first, in this order."""

    @property
    def other_crops(self) -> tuple[int, ...]:
        """The others, ascending."""


def candidate_tilings(crops: int) -> tuple[Tiling, ...]:
    """Every `(rows, cols)` with `rows * cols == crops`, rows ascending."""
    return tuple((rows, crops // rows) for rows in range(1, crops + 1) if crops % rows == 0)


@dataclass(frozen=True)
class ExactMetric:
    """What a selection minimises, in a form that stays rational.

    `absolute` mismatches are |t - a|. The two others are increasing functions of the quotient
    max(t / a, a / t), which is compared in their place.

    Args:
        geometry: Geometry of the crops.
        threshold: Its metric, and the limit below which preferred counts are good enough.
    """

    geometry: CropGeometry
    threshold: Threshold

    @property
    def is_quotient(self) -> bool:
        """Whether aspect ratios are compared by their quotient, not their difference."""
        return self.threshold.metric != "absolute"

    @property
    def power(self) -> int:
        """Exponent of an aspect ratio beside breakpoints: quotients leave them squared."""
        return 2 if self.is_quotient else 1

    @property
    def of_canvas(self) -> bool:
        """Whether whole images are compared with whole canvases, margins included."""
        return self.threshold.metric == "content_loss"

    def target(self, tiling: Tiling) -> Fraction:
        """The aspect ratio at which `tiling` has no mismatch."""
        height, width = self.geometry.canvas_size(tiling) if self.of_canvas else tiling
        return Fraction(width, height)

    def mismatch(self, target: Fraction, aspect: Fraction) -> Fraction:
        """What a selection minimises."""
        if self.is_quotient:
            return max(target / aspect, aspect / target)
        return abs(target - aspect)

    @property
    def limit(self) -> Fraction | None:
        """The threshold on `mismatch`; None where every mismatch is below it."""
        value = self.threshold.value
        if value is None:
            return None
        if self.threshold.metric == "log_ratio":
            try:
                return Fraction(math.exp(value))
            except OverflowError:
                return None  # no two aspect ratios are that far apart
        limit = Fraction(repr(float(value)))  # the decimal number that was written, 3/10 for 0.3
        if self.threshold.metric == "content_loss":
            return 1 / (1 - limit) if limit < 1 else None
        return limit

    def midpoint(self, low: Fraction, high: Fraction) -> Fraction:
        """Where two targets are equally near (squared, for quotients)."""
        return low * high if self.is_quotient else (low + high) / 2

    def breakpoints(self, targets: Iterable[Fraction]) -> set[Fraction]:
        """Where the nearest of `targets` changes (squared, for quotients)."""
        return {self.midpoint(low, high) for low, high in pairwise(sorted(set(targets)))}

    def limit_points(self, targets: Iterable[Fraction]) -> set[Fraction]:
        """Where a mismatch to one of `targets` reaches the limit (squared, for quotients)."""
        limit = self.limit
        if limit is None:
            return set()
        if self.is_quotient:
            return {(side**2) for t in targets for side in (t * limit, t / limit)}
        return {side for t in targets for side in (t - limit, t + limit) if side > 0}


def winning_tiling(
    tier: CropCounts, aspect: Fraction, geometry: CropGeometry, threshold: Threshold
) -> Tiling:
    """The tiling that the definition of a tier gives to an aspect ratio: the loop itself."""
    metric = ExactMetric(geometry, threshold)
    limit = metric.limit

    def best_of(crops: int) -> tuple[Fraction, Tiling]:
        ranked = ((metric.mismatch(metric.target(t), aspect), t) for t in candidate_tilings(crops))
        return min(ranked, key=lambda pair: pair[0])  # min keeps the first of equals

    mismatch, tiling = min(map(best_of, tier.preferred_crops), key=lambda pair: pair[0])
    if limit is None or mismatch < limit:
        return tiling
    for crops in tier.other_crops:
        candidate = best_of(crops)
        if candidate[0] < mismatch:
            mismatch, tiling = candidate
    return tiling


def _exact_root(value: Fraction) -> Fraction | None:
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return root if root**2 == value else None


class Breakpoints:
    """Aspect ratios divided into classes: the open intervals that breakpoints leave, and each
    breakpoint by itself. Class 2 i ends at breakpoint i, class 2 i + 1 is breakpoint i.

    An aspect ratio is given as two positive whole numbers, numerator and denominator.

    Args:
        points: Positive, ascending; aspect ratios to the power of `power`.
        power: 1 or 2 (`ExactMetric.power`).
    """

    def __init__(self, points: Sequence[Fraction], power: int) -> None:
        self._points = list(points)
        self._power = power
        roots = [float(point) ** (1 / power) for point in self._points]
        self._floats = [0.0, *roots, math.inf]  # an aspect ratio lies strictly between the ends

    def representatives(self) -> list[Fraction | None]:
        """An aspect ratio of every class; None where the breakpoint is the square of none, so that
        nothing ever falls on it.
        """
        between: list[Fraction | None] = list(self._between())
        classes = [*between, *between[1:]]
        classes[0::2] = between
        classes[1::2] = [p if self._power == 1 else _exact_root(p) for p in self._points]
        return classes

    def _between(self) -> list[Fraction]:
        points = self._points
        if not points:
            return [Fraction(1)]
        middles = [(low + high) / 2 for low, high in pairwise(points)]
        inner = [points[0] / 2, *middles, points[-1] * 2]
        return inner if self._power == 1 else [Fraction(math.sqrt(square)) for square in inner]

    def _exactly(self, numerator: int, denominator: int) -> int:
        position = Fraction(numerator, denominator) ** self._power
        i = bisect_left(self._points, position)
        on_point = i < len(self._points) and self._points[i] == position
        return 2 * i + 1 if on_point else 2 * i

    def locate(self, numerator: int, denominator: int) -> int:
        """The class of the aspect ratio `numerator / denominator`."""
        floats = self._floats
        aspect = numerator / denominator
        i = bisect_left(floats, aspect)
        slack = aspect * _NEAR
        if floats[i] - aspect <= slack or aspect - floats[i - 1] <= slack:
            return self._exactly(numerator, denominator)
        return 2 * i - 2

    def locate_many(
        self, numerators: NDArray[np.int64], denominators: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The classes, (N,) int64, of (N,) aspect ratios."""
        floats = np.array(self._floats)
        aspects = numerators / denominators
        index = np.searchsorted(floats[1:-1], aspects)
        slack = aspects * _NEAR
        near = (floats[index + 1] - aspects <= slack) | (aspects - floats[index] <= slack)
        classes: NDArray[np.int64] = 2 * index
        if near.any():
            pairs = np.stack([numerators[near], denominators[near]], axis=-1)
            distinct, inverse = np.unique(
                pairs // np.gcd(pairs[:, :1], pairs[:, 1:]), axis=0, return_inverse=True
            )
            exact = np.array([self._exactly(int(n), int(d)) for n, d in distinct])
            classes[near] = exact[inverse.reshape(-1)]
        return classes


class SelectionTable:
    """The compiled selection of one tier, geometry and threshold.

    An aspect ratio is given as two positive whole numbers, numerator and denominator.

    Args:
        tier: The tier.
        geometry: Geometry of the crops.
        threshold: What is minimised, and when preferred counts suffice.
    """

    def __init__(self, tier: CropCounts, geometry: CropGeometry, threshold: Threshold) -> None:
        metric = ExactMetric(geometry, threshold)
        self.of_canvas = metric.of_canvas

        def targets(counts: Iterable[int]) -> set[Fraction]:
            return {metric.target(t) for crops in counts for t in candidate_tilings(crops)}

        preferred = targets(tier.preferred_crops)
        every = preferred | targets(tier.other_crops)
        points = sorted(
            metric.breakpoints(preferred)
            | metric.breakpoints(every)
            | metric.limit_points(preferred)
        )
        winners: list[Tiling] = []  # by class
        for aspect in Breakpoints(points, metric.power).representatives():
            # Nothing falls on an irrational breakpoint: the tiling before it serves as well.
            winners.append(
                winners[-1] if aspect is None else winning_tiling(tier, aspect, geometry, threshold)
            )
        keep = [i for i in range(len(points)) if len(set(winners[2 * i : 2 * i + 3])) > 1]
        self._breakpoints = Breakpoints([points[i] for i in keep], metric.power)
        self._winners = [winners[0]]
        for i in keep:
            self._winners += winners[2 * i + 1 : 2 * i + 3]

    def lookup(self, numerator: int, denominator: int) -> Tiling:
        """The winning tiling for the aspect ratio `numerator / denominator`."""
        return self._winners[self._breakpoints.locate(numerator, denominator)]

    def lookup_many(
        self, numerators: NDArray[np.int64], denominators: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The winning tilings, (N, 2) int64, of (N,) aspect ratios."""
        tilings: NDArray[np.int64] = np.array(self._winners)[
            self._breakpoints.locate_many(numerators, denominators)
        ]
        return tilings


@lru_cache(maxsize=256)
def compiled(tier: CropCounts, geometry: CropGeometry, threshold: Threshold) -> SelectionTable:
    """The table of a tier, compiled once."""
    return SelectionTable(tier, geometry, threshold)
