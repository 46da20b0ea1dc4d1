"""The mixture of picture sizes: what a user's folder of photos, scans and icons looks like.

In: a random stream. Out: a size in pixels. Aspect ratios are width / height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Format:
    """A family of sizes.

    Args:
        name: What has this format.
        weight: Its share of all pictures, in percent.
        aspects: The range of aspect ratios, uniform in its logarithm.
        long_sides: The range of the longer side in pixels, uniform in its logarithm.
    """

    name: str
    weight: int
    aspects: tuple[float, float]
    long_sides: tuple[int, int]


FORMATS = (
    Format("photo 4:3", 17, (4 / 3, 4 / 3), (960, 2000)),
    Format("photo 3:2", 12, (3 / 2, 3 / 2), (960, 2000)),
    Format("photo 16:9", 11, (16 / 9, 16 / 9), (960, 2000)),
    Format("photo, cropped", 10, (1.1, 2.0), (960, 2000)),
    Format("portrait 3:4", 9, (3 / 4, 3 / 4), (960, 2000)),
    Format("portrait 2:3", 6, (2 / 3, 2 / 3), (960, 2000)),
    Format("portrait 9:16", 5, (9 / 16, 9 / 16), (960, 2000)),
    Format("square", 7, (1.0, 1.0), (840, 1600)),
    Format("document", 8, (1 / math.sqrt(2), 8.5 / 11), (1100, 2000)),
    Format("receipt", 5, (1 / 3, 1 / 2), (1200, 2400)),
    Format("banner", 5, (3.0, 5.0), (1400, 2400)),
    Format("icon", 5, (0.8, 1.25), (96, 224)),
)


def draw_size(rng: Random) -> tuple[int, int]:
    """(height, width) in pixels of one picture of the mixture."""
    (form,) = rng.choices(FORMATS, [form.weight for form in FORMATS])
    aspect = log_uniform(rng, *form.aspects)
    long_side = round(log_uniform(rng, *form.long_sides))
    if aspect >= 1:
        return round(long_side / aspect), long_side
    return long_side, round(long_side * aspect)


def log_uniform(rng: Random, low: float, high: float) -> float:
    """A number between `low` and `high` whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
