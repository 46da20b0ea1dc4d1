"""How sure a mean of scores is. The scores themselves are in `tierexp.scores`.

In: a mean and a count. Out: an interval. Knows nothing about samples or tiers.
"""

from __future__ import annotations

import math

_Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_interval(mean: float, count: int) -> tuple[float, float]:
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
