"""Sizes of images to try a rule on, seeded: every kind that has an edge of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 5000


def draw_sizes(count: int, seed: int = 20) -> NDArray[np.int64]:
    """(count, 2): heights and widths from 1 to 5,000 pixels.

    A quarter each: uniform; uniform in the logarithm, so that small and very long images occur;
    photographs, sides in simple ratios; multiples of what families tile by, give or take a pixel.
    The first ones are extremes.

    Args:
        count: Of sizes.
        seed: Of the draw; a larger count extends a smaller one's.
    """
    rng = np.random.default_rng(seed)
    extremes = [(a, b) for a in (1, 100, LONGEST) for b in (1, 100, LONGEST)]
    drawn = np.empty((count, 2), np.int64)
    for index in range(count):
        match index % 4:
            case 0:
                size = rng.integers(1, LONGEST + 1, 2)
            case 1:
                size = np.exp(rng.uniform(0, np.log(LONGEST), 2))
            case 2:
                ratio = rng.integers(1, 17, 2)
                size = ratio * rng.integers(1, LONGEST // ratio.max() + 1)
            case _:
                unit = rng.choice([14, 16, 28, 32, 48, 224, 266, 336, 364, 384, 448, 512, 560, 768])
                size = unit * rng.integers(1, LONGEST // unit + 1, 2) + rng.integers(-1, 2, 2)
        drawn[index] = extremes[index] if index < len(extremes) else np.clip(size, 1, LONGEST)
    return drawn
