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
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tierexp.geometry import CropGeometry, Tiling
from tierexp.tiers import Threshold, Tier

_NEAR = 1e-12
"""Relative distance to a breakpoint below which floats are not trusted to tell the side. Far above
their rounding error, and far below the distance of two different aspect ratios of real images."""


def candidate_tilings(crops: int) -> tuple[Tiling, ...]:
    """Every `(rows, cols)` with `rows * cols == crops`, rows ascending."""
    return tuple((rows, crops // rows) for rows in range(1, crops + 1) if crops % rows == 0)


@dataclass(frozen=True)
class _Metric:
    """What a selection minimises, in a form that stays rational.

    `absolute` mismatches are |t - a|. The two others are increasing functions of the quotient
    max(t / a, a / t), which is compared in their place.

    Args:
        geometry: Of the crops.
        threshold: Its metric, and the limit below which preferred counts are good enough.
    """

    geometry: CropGeometry
    threshold: Threshold

    @property
    def is_quotient(self) -> bool:
        return self.threshold.metric != "absolute"

    @property
    def of_canvas(self) -> bool:
        """Whether whole images are compared with whole canvases, margins included."""
        return self.threshold.metric == "content_loss"

    def target(self, tiling: Tiling) -> Fraction:
        """The aspect ratio at which `tiling` has no mismatch."""
        height, width = self.geometry.canvas_size(tiling) if self.of_canvas else tiling
        return Fraction(width, height)

    def mismatch(self, target: Fraction, aspect: Fraction) -> Fraction:
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

    def breakpoints(self, targets: Iterable[Fraction]) -> set[Fraction]:
        """Where the nearest of `targets` changes (squared, for quotients)."""
        ordered = sorted(set(targets))
        pairs = pairwise(ordered)
        if self.is_quotient:
            return {low * high for low, high in pairs}
        return {(low + high) / 2 for low, high in pairs}

    def limit_points(self, targets: Iterable[Fraction]) -> set[Fraction]:
        """Where a mismatch to one of `targets` reaches the limit (squared, for quotients)."""
        limit = self.limit
        if limit is None:
            return set()
        if self.is_quotient:
            return {(side**2) for t in targets for side in (t * limit, t / limit)}
        return {side for t in targets for side in (t - limit, t + limit) if side > 0}


def winning_tiling(
    tier: Tier, aspect: Fraction, geometry: CropGeometry, threshold: Threshold
) -> Tiling:
    """The tiling that the definition of a tier gives to an aspect ratio: the loop itself."""
    metric = _Metric(geometry, threshold)
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


class SelectionTable:
    """The compiled selection of one tier, geometry and threshold.

    An aspect ratio is given as two positive whole numbers, numerator and denominator.

    Args:
        tier: The tier.
        geometry: Of the crops.
        threshold: What is minimised, and when preferred counts suffice.
    """

    def __init__(self, tier: Tier, geometry: CropGeometry, threshold: Threshold) -> None:
        metric = _Metric(geometry, threshold)
        self.of_canvas = metric.of_canvas
        self._power = 2 if metric.is_quotient else 1

        def targets(counts: Iterable[int]) -> set[Fraction]:
            return {metric.target(t) for crops in counts for t in candidate_tilings(crops)}

        preferred = targets(tier.preferred_crops)
        every = preferred | targets(tier.other_crops)
        points = sorted(
            metric.breakpoints(preferred)
            | metric.breakpoints(every)
            | metric.limit_points(preferred)
        )
        # A winner for each open interval between breakpoints, and one for each breakpoint itself.
        inside = [
            winning_tiling(tier, aspect, geometry, threshold) for aspect in self._between(points)
        ]
        at = [
            inside[i]  # no aspect ratio is irrational, so nothing ever falls on this breakpoint
            if (aspect := self._aspect_at(point)) is None
            else winning_tiling(tier, aspect, geometry, threshold)
            for i, point in enumerate(points)
        ]
        keep = [i for i in range(len(points)) if not inside[i] == at[i] == inside[i + 1]]
        self._points = [points[i] for i in keep]
        self._inside = [inside[0], *(inside[i + 1] for i in keep)]
        self._at = [at[i] for i in keep]
        roots = [float(point) ** (1 / self._power) for point in self._points]
        self._floats = [0.0, *roots, math.inf]  # an aspect ratio lies strictly between the ends

    def _aspect_at(self, point: Fraction) -> Fraction | None:
        return point if self._power == 1 else _exact_root(point)

    def _between(self, points: list[Fraction]) -> list[Fraction]:
        """One aspect ratio from every open interval that `points` leave."""
        if not points:
            return [Fraction(1)]
        middles = [(low + high) / 2 for low, high in pairwise(points)]
        inner = [points[0] / 2, *middles, points[-1] * 2]
        return inner if self._power == 1 else [Fraction(math.sqrt(square)) for square in inner]

    def _exactly(self, numerator: int, denominator: int) -> Tiling:
        position = Fraction(numerator, denominator) ** self._power
        i = bisect_left(self._points, position)
        on_point = i < len(self._points) and self._points[i] == position
        return self._at[i] if on_point else self._inside[i]

    def lookup(self, numerator: int, denominator: int) -> Tiling:
        """The winning tiling for the aspect ratio `numerator / denominator`."""
        floats = self._floats
        aspect = numerator / denominator
        i = bisect_left(floats, aspect)
        slack = aspect * _NEAR
        if floats[i] - aspect <= slack or aspect - floats[i - 1] <= slack:
            return self._exactly(numerator, denominator)
        return self._inside[i - 1]

    def lookup_many(
        self, numerators: NDArray[np.int64], denominators: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The winning tilings, (..., 2) int64, of arrays of aspect ratios."""
        floats = np.array(self._floats)
        aspects = numerators / denominators
        index = np.searchsorted(floats[1:-1], aspects)
        slack = aspects * _NEAR
        near = (floats[index + 1] - aspects <= slack) | (aspects - floats[index] <= slack)
        tilings: NDArray[np.int64] = np.array(self._inside)[index]
        if near.any():
            pairs = np.stack([numerators[near], denominators[near]], axis=-1)
            distinct, inverse = np.unique(
                pairs // np.gcd(pairs[:, :1], pairs[:, 1:]), axis=0, return_inverse=True
            )
            exact = np.array([self._exactly(int(n), int(d)) for n, d in distinct])
            tilings[near] = exact[inverse.reshape(-1)]
        return tilings


@lru_cache(maxsize=256)
def compiled(tier: Tier, geometry: CropGeometry, threshold: Threshold) -> SelectionTable:
    """The table of a tier, compiled once."""
    return SelectionTable(tier, geometry, threshold)
