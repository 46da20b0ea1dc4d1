"""Plans of a million images in every family, and tiers in some: seconds each.

Run `python benchmarks/families.py`. Sizes are uniform from 1 to 5,000 pixels; seconds of processor
time on one core, the best of three.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from time import process_time

import numpy as np

from tierexp.models.plans.registry import presets
from tierexp.models.plans.token_tiers import UnreachableTierError, family_tier
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

IMAGES = 1_000_000


def seconds(function: Callable[[], object]) -> float:
    return min(timeit.repeat(function, timer=process_time, number=1, repeat=3))


def main() -> None:
    heights, widths = np.random.default_rng(0).integers(1, 5001, size=(2, IMAGES))
    tier = load_tier("medium")
    assert isinstance(tier, Tier)
    print(f"{'family':20} {'native':>8} {'medium':>8}")
    for name, preset in presets().items():
        geometry = preset.geometry
        native = seconds(lambda: geometry.plan_many(heights, widths))
        try:
            compiled = family_tier(geometry, tier)
        except UnreachableTierError:
            print(f"{name:20} {native:6.2f} s {'-':>8}")
            continue
        tiered = seconds(lambda: compiled.plan_many(heights, widths))
        print(f"{name:20} {native:6.2f} s {tiered:6.2f} s")


if __name__ == "__main__":
    main()
