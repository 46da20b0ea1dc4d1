"""Selection written straight from its definition, in exact arithmetic: the truth that the compiled
selection is tested against. Shares no code with it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tierexp.tiers.tier import Tier

LOW = Tier("low", 1, 3, (2, 3), 432)
MEDIUM = Tier("medium", 4, 8, (4, 6, 8), 1008)
HIGH = Tier("high", 9, 15, (9, 12, 15), 1872)
TIERS = (LOW, MEDIUM, HIGH)


def image_aspect(height: int, width: int) -> Fraction:
    if width - 112 <= 0 or height - 112 <= 0:
        return Fraction(width, height)
    return Fraction(width - 112, height - 112)


def tilings_of(crops: int) -> list[tuple[int, int]]:
    return [(r, c) for r in range(1, crops + 1) for c in range(1, crops + 1) if r * c == crops]


def select(tier: Tier, height: int, width: int, limit: Fraction | None) -> tuple[int, int]:
    """Section 3 of the definition, for the absolute metric; `limit` None is no limit."""
    a = image_aspect(height, width)

    def mismatch(tiling: tuple[int, int]) -> Fraction:
        return abs(Fraction(tiling[1], tiling[0]) - a)

    best = None
    for crops in tier.preferred_crops:
        for tiling in tilings_of(crops):
            if best is None or mismatch(tiling) < mismatch(best):
                best = tiling
    if limit is None or mismatch(best) < limit:
        return best
    for crops in range(tier.min_crops, tier.max_crops + 1):
        if crops in tier.preferred_crops:
            continue
        for tiling in tilings_of(crops):
            if mismatch(tiling) < mismatch(best):
                best = tiling
    return best


def select_by(metric: str, tier: Tier, height: int, width: int, value: float) -> tuple[int, int]:
    """The same loop for the other metrics, in floats: good wherever no two values are close."""
    raw = width / height
    a = float(image_aspect(height, width))

    def mismatch(tiling: tuple[int, int]) -> float:
        rows, cols = tiling
        if metric == "log_ratio":
            return abs(math.log(cols / rows) - math.log(a))
        canvas = (224 * cols + 112) / (224 * rows + 112)
        return 1 - min(raw / canvas, canvas / raw)

    best = min((t for n in tier.preferred_crops for t in tilings_of(n)), key=mismatch)
    if mismatch(best) < value:
        return best
    others = [n for n in range(tier.min_crops, tier.max_crops + 1) if n not in tier.preferred_crops]
    return min([best, *(t for n in others for t in tilings_of(n))], key=mismatch)


def select_row(tier: Tier, height: int, widths: NDArray[np.int64], limit: Fraction) -> NDArray:
    """`select` for one height and many widths at once, (N, 2), in whole numbers throughout.

    With a = p / q, the mismatch of (r, c) is |c q - r p| / (r q): q is common to all, so two
    mismatches compare as n1 r2 < n2 r1.
    """
    inner = (widths > 112) & (height > 112)
    p = np.where(inner, widths - 112, widths)
    q = np.where(inner, height - 112, height)
    rows = np.zeros_like(p)
    cols = np.zeros_like(p)
    numerator = np.zeros_like(p)

    def consider(tiling: tuple[int, int], where: NDArray[np.bool_], first: bool = False) -> None:
        r, c = tiling
        n = np.abs(c * q - r * p)
        better = where & (first | (n * rows < numerator * r))
        rows[better], cols[better], numerator[better] = r, c, n[better]

    everywhere = np.ones_like(p, dtype=bool)
    candidates = [t for crops in tier.preferred_crops for t in tilings_of(crops)]
    for i, tiling in enumerate(candidates):
        consider(tiling, everywhere, first=i == 0)
    enough = numerator * limit.denominator < limit.numerator * rows * q
    for crops in range(tier.min_crops, tier.max_crops + 1):
        if crops not in tier.preferred_crops:
            for tiling in tilings_of(crops):
                consider(tiling, ~enough)
    return np.stack([rows, cols], axis=-1)


def select_native(height: int, width: int, max_crops: int) -> tuple[int, int]:
    """Section 4 of the definition, one float32 scale at a time."""
    tilings = sorted(
        ((r, c) for r in range(1, max_crops + 1) for c in range(1, max_crops + 1)),
        key=lambda t: (t[0] * t[1], t[0]),
    )
    tilings = [t for t in tilings if t[0] * t[1] <= max_crops]
    h, w = np.float32(height) - np.float32(112), np.float32(width) - np.float32(112)

    def ratio(pixels: int, side: np.float32) -> float:
        return math.inf if side == 0 else float(np.float32(pixels) / side)

    scales = [min(ratio(224 * r, h), ratio(224 * c, w)) for r, c in tilings]
    if all(scale < 1 for scale in scales):
        return tilings[scales.index(max(scales))]
    smallest = min(scale for scale in scales if scale >= 1)
    return tilings[scales.index(smallest)]
