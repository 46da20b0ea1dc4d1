"""How sure a figure over samples is: the bootstrap, with images drawn as a whole.

In: values, and which image each is about. Out: 95 % intervals of means, quantiles, and of whatever
two means make together. Several questions about one image share its size and its tiling; drawing
them one by one would claim more evidence than there is. Efron and Tibshirani, "An Introduction to
the Bootstrap" (1993), chapters 8 and 13 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 0
"""Of the draws: the same samples give the same interval."""
_BLOCK = 100
"""Draws that are computed at once, for the sake of memory."""

Values = NDArray[np.float64]


def mean_interval(values: Values, images: Sequence[str]) -> tuple[float, float]:
    """The 95 % interval of a mean.

    Args:
        values: (n,), at least one.
        images: The image each is about.
    """
    return combined_interval([values], images, lambda mean: mean)


def mean_intervals(rows: Values, images: Sequence[str]) -> list[tuple[float, float]]:
    """The 95 % interval of each of many means of the same samples.

    Args:
        rows: (m, n), at least one sample.
        images: The image each sample is about.
    """
    figures = [rows @ weights.T / weights.sum(axis=1) for weights in _weights(images)]
    return [_middle_95(of_row) for of_row in np.concatenate(figures, axis=1)]


def combined_interval(
    columns: Sequence[Values], images: Sequence[str], combine: Callable[..., Values]
) -> tuple[float, float]:
    """The 95 % interval of something made of the means of paired columns.

    Args:
        columns: (n,) each, of the same samples in the same order.
        images: The image each sample is about.
        combine: From one array of means per column, (draws,), to the figure, (draws,).
    """
    table = np.stack(columns)  # (columns, n)
    figures = [combine(*(table @ weights.T / weights.sum(axis=1))) for weights in _weights(images)]
    return _middle_95(np.concatenate(figures))


def quantile_interval(
    values: Values, images: Sequence[str], quantile: float
) -> tuple[float, float]:
    """The 95 % interval of a quantile.

    Args:
        values: (n,), at least one.
        images: The image each is about.
        quantile: In [0, 1].
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    figures = []
    for weights in _weights(images):
        # The smallest value that so much of the weight does not exceed.
        reached = np.cumsum(weights[:, order], axis=1)  # (draws, n)
        wanted = np.maximum(quantile * reached[:, -1:], 1)
        figures.append(ordered[(reached < wanted).sum(axis=1)])
    return _middle_95(np.concatenate(figures))


def _weights(images: Sequence[str]) -> Iterator[Values]:
    """How often each sample is drawn, (draws, n), block by block."""
    _, number = np.unique(np.asarray(images), return_inverse=True)
    count = int(number.max()) + 1
    rng = np.random.default_rng(SEED)
    for _ in range(DRAWS // _BLOCK):
        times = rng.multinomial(count, np.full(count, 1 / count), size=_BLOCK)  # (draws, images)
        yield times[:, number].astype(np.float64)


def _middle_95(figures: Values) -> tuple[float, float]:
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)
