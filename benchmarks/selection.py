"""Selection: the compiled table beside the plain loop that defines it.

Run `python benchmarks/selection.py`. One image is timed as the best of repeated batches, which is
the least disturbed by whatever else the machine does; so is a million images.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import select_crops, select_crops_many
from tierexp.tiers.table import compiled, winning_tiling
from tierexp.tiers.threshold import Threshold

IMAGES = 1_000_000


def seconds(function: Callable[[], object], number: int, repeat: int = 5) -> float:
    return min(timeit.repeat(function, number=number, repeat=repeat)) / number


def main() -> None:
    rng = np.random.default_rng(0)
    heights, widths = rng.integers(64, 4096, size=(2, IMAGES))
    geometry, threshold = CropGeometry(), Threshold()
    print(f"{'tier':8} {'loop, 1 image':>14} {'table, 1 image':>15} {'ratio':>6}", end="")
    print(f" {'table, 1,000,000':>17} {'ratio':>7} {'compile':>9}")
    for name in ("low", "medium", "high"):
        tier: CropRule = load_tier(name)
        aspect = Fraction(640 - 112, 480 - 112)
        loop = seconds(lambda: winning_tiling(tier, aspect, geometry, threshold), 200)
        one = seconds(lambda: select_crops(tier, 480, 640), 20_000)
        many = seconds(lambda: select_crops_many(tier, heights, widths), 1)
        compiling = seconds(lambda: compiled.__wrapped__(tier, geometry, threshold), 1)
        print(
            f"{name:8} {loop * 1e6:11.1f} µs {one * 1e6:12.2f} µs {loop / one:6.0f}"
            f" {many * 1e3:14.1f} ms {loop * IMAGES / many:7.0f} {compiling * 1e3:6.1f} ms"
        )
    native = load_tier("native")
    one = seconds(lambda: select_crops(native, 480, 640), 2_000)
    many = seconds(lambda: select_crops_many(native, heights, widths), 1)
    print(f"{'native':8} {'':>14} {one * 1e6:12.2f} µs {'':6} {many * 1e3:14.1f} ms")


if __name__ == "__main__":
    main()
