"""How sure a number over samples is: score intervals, and the bootstrap that draws whole images.

In: means and counts, or values and which image each is about. Out: 95 % intervals. Several
questions about one image share its size and its tiling; drawing them one by one would claim more
evidence than there is. Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8
and 13 (percentile intervals). Knows nothing about samples or tiers.

Time and memory grow with the samples once, and with the images times the draws; of the draws only a
block is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 0
"""Seed of the draws: the same samples give the same interval."""

Values = NDArray[np.float64]
Interval = tuple[float, float]

_Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
_BLOCK = 2**20
"""Most numbers of a block of draws, 8 MB of them."""
_KEPT = 2**27
"""Most numbers of all draws that are kept for the next run about as many images, a byte each."""
_asked: set[int] = set()
"""Numbers of images for which draws were made; who asks a second time will ask again."""


class Statistic(Protocol):
    """A number over drawn samples, worked out for a block of draws at once."""

    def prepare(self, images: NDArray[np.intp], count: int) -> Callable[[Values], Values]:
        """Ready for the samples' images.

        Args:
            images: (n,): each sample's image, a number below `count`.
            count: Count of the images.

        Returns:
            From how often each image is drawn, (draws, count), to the statistic, (draws,).
        """


@dataclass(frozen=True, eq=False)
class Combined:
    """What the means of paired columns make together.

    Args:
        columns: (n,) each, of the same samples in the same order.
        combine: From one array of means per column, (draws,), to the statistic, (draws,).
    """

    columns: Sequence[Values]
    combine: Callable[..., Values]

    def prepare(self, images: NDArray[np.intp], count: int) -> Callable[[Values], Values]:
        """See `Statistic`."""
        sums = [np.bincount(images, column, count) for column in self.columns]
        table = np.stack([*sums, np.bincount(images, minlength=count).astype(np.float64)], axis=1)

        def statistic(times: Values) -> Values:
            totals = times @ table  # (draws, columns + 1)
            return self.combine(*(totals[:, :-1] / totals[:, -1:]).T)

        return statistic


def mean_of(values: Values) -> Combined:
    """The mean of values, (n,)."""
    return Combined([values], lambda mean: mean)


@dataclass(frozen=True, eq=False)
class Quantile:
    """The smallest value that so much of the samples does not exceed.

    Args:
        values: (n,), at least one.
        quantile: In [0, 1].
    """

    values: Values
    quantile: float

    def prepare(self, images: NDArray[np.intp], count: int) -> Callable[[Values], Values]:
        """See `Statistic`."""
        # Samples of one value about one image are drawn together: often all of an image.
        order = np.lexsort((images, self.values))
        values, images = self.values[order], images[order]
        new = np.r_[True, (values[1:] != values[:-1]) | (images[1:] != images[:-1])]
        starts = np.flatnonzero(new)
        alike: Values = np.diff(np.r_[starts, len(values)]).astype(np.float64)
        values, images = values[starts], images[starts]
        per_image = np.bincount(images, alike, count).astype(np.float64)

        def statistic(times: Values) -> Values:
            wanted = np.maximum(self.quantile * (times @ per_image), 1)  # (draws,)
            return values[_places(times, images, alike, per_image, wanted, self.quantile)]

        return statistic


def _places(
    times: Values,
    images: NDArray[np.signedinteger],
    alike: Values,
    per_image: Values,
    wanted: Values,
    quantile: float,
) -> NDArray[np.intp]:
    """For each draw, the first place in ascending values whose weight so far reaches `wanted`.

    Only the end that the quantile lies near is looked at, and more of it only where a draw reaches
    further in. Weights are whole numbers: their sums are exact in any order.
    """
    size = len(images)
    upper = quantile > 0.5
    near = min(size, int(1.5 * size * (1 - quantile if upper else quantile)) + 64)
    while True:
        part = slice(size - near, size) if upper else slice(0, near)
        weights = times[:, images[part]] * alike[part]  # (draws, near)
        before = times @ per_image - weights.sum(axis=1) if upper else np.zeros(len(times))
        reached = before[:, None] + np.cumsum(weights, axis=1)
        starts_below = part.start == 0 or (before < wanted).all()
        ends_above = part.stop == size or (reached[:, -1] >= wanted).all()
        if starts_below and ends_above:
            found: NDArray[np.intp] = part.start + (reached < wanted[:, None]).sum(axis=1)
            return found
        near = min(size, 2 * near)


def intervals(statistics: Sequence[Statistic], images: Sequence[str]) -> list[Interval]:
    """The 95 % intervals of several numbers over the same samples, all from the same draws.

    Args:
        statistics: Statistics of n samples each.
        images: (n,): the image that each sample is about, at least one.
    """
    numbers = {name: number for number, name in enumerate(sorted(set(images)))}
    of_samples = np.fromiter((numbers[name] for name in images), np.intp, len(images))
    prepared = [statistic.prepare(of_samples, len(numbers)) for statistic in statistics]
    found: list[list[Values]] = [[] for _ in prepared]
    for times in _draws(len(numbers)):
        for statistic, values in zip(prepared, found, strict=True):
            values.append(statistic(times))
    return [_middle_95(np.concatenate(values)) for values in found]


def mean_interval(values: Values, images: Sequence[str]) -> Interval:
    """The 95 % interval of a mean.

    Args:
        values: (n,), at least one.
        images: The image each is about.
    """
    return intervals([mean_of(values)], images)[0]


def combined_interval(
    columns: Sequence[Values], images: Sequence[str], combine: Callable[..., Values]
) -> Interval:
    """The 95 % interval of something made of the means of paired columns.

    Args:
        columns: See `Combined`.
        images: The image each sample is about.
        combine: See `Combined`.
    """
    return intervals([Combined(columns, combine)], images)[0]


def wilson_interval(mean: float, count: int) -> Interval:
    """The 95 % score interval of a mean of independent scores in [0, 1] (Wilson, 1927).

    Unlike a bootstrap it neither collapses to a point when all scores are equal nor undercovers
    for few samples, and it needs no seed. For scores other than 0 and 1 it is conservative: no
    distribution on [0, 1] has more variance than the Bernoulli one of the same mean.

    Args:
        mean: In [0, 1].
        count: Number of scores, at least 1.

    Raises:
        ValueError: A count below 1, or a mean outside [0, 1].
    """
    if count < 1 or not 0 <= mean <= 1:
        raise ValueError(f"no interval for a mean of {mean} over {count} scores")
    z2 = _Z95**2
    centre = mean + z2 / (2 * count)
    spread = _Z95 * math.sqrt(mean * (1 - mean) / count + z2 / (4 * count**2))
    scale = 1 + z2 / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # Rounding must push neither bound off a mean of 0 or 1.
    return max(0.0, min(mean, low)), min(1.0, max(mean, high))


def _draws(count: int) -> Iterator[Values]:
    """How often each of `count` images is drawn, (draws, count), block by block."""
    if DRAWS * count <= _KEPT and count in _asked:
        times = _kept_draws(count)
        rows = max(1, _BLOCK // count)
        for start in range(0, DRAWS, rows):
            yield times[start : start + rows].astype(np.float64)
    else:
        _asked.add(count)
        for block in _drawn(count):
            yield block.astype(np.float64)


@lru_cache(maxsize=1)
def _kept_draws(count: int) -> NDArray[np.integer[Any]]:
    """All draws: the runs of a sweep are about the same number of images."""
    # Of more than a few images none is drawn a hundred times in as many draws as there are images.
    return np.concatenate(
        [block.astype(np.min_scalar_type(block.max())) for block in _drawn(count)]
    )


def _drawn(count: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(SEED)
    rows = max(1, _BLOCK // count)
    for start in range(0, DRAWS, rows):
        size = min(rows, DRAWS - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size)


def _middle_95(values: Values) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
