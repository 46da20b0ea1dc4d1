"""Molmo's own rule for tilings: the baseline that knows no tier.

In: the sizes of images. Out: tilings. Follows `select_tiling` of the preprocessor published with
the Molmo checkpoints (2024), in float32 as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import text, whole_number
from tierexp.tiers.aspects import checked_sides
from tierexp.tiers.geometry import MAX_CROPS, CropGeometry, Tiling
from tierexp.tiers.table import candidate_tilings
from tierexp.tiers.threshold import Threshold

_CHUNK = 4096


@dataclass(frozen=True)
class NativeRule:
    """Molmo's own rule: any tiling up to `max_crops`, chosen by scale (`select_tiling`).

    Args:
        name: How results and charts call it.
        max_crops: Most crops; 12 in the released checkpoints.
        description: What it is for.
    """

    name: str = "native"
    max_crops: int = 12
    description: str = ""

    def __post_init__(self) -> None:
        text("tier.name", self.name)
        whole_number("tier.max_crops", self.max_crops, 1, MAX_CROPS)

    @property
    def min_crops(self) -> int:
        """Fewest crops a selection may have."""
        return 1

    @property
    def as_tier(self) -> None:
        """See `FamilyRule`: another family has a rule of its own."""
        return

    def expected_tokens(self, geometry: CropGeometry) -> int:
        """The most that an image may get."""
        return geometry.selected_vision_tokens(self.max_crops)

    def tiling(
        self, height: int, width: int, geometry: CropGeometry, threshold: Threshold
    ) -> Tiling:
        """See `CropRule`; the rule has no use for a threshold."""
        del threshold
        return select_tiling(height, width, self.max_crops, geometry)

    def tilings(
        self,
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
        geometry: CropGeometry,
        threshold: Threshold,
    ) -> NDArray[np.int64]:
        """See `CropRule`; the rule has no use for a threshold."""
        del threshold
        return _native_tilings(heights, widths, self.max_crops, geometry)


def select_tiling(
    height: int, width: int, max_crops: int, geometry: CropGeometry = CropGeometry()
) -> Tiling:
    """Molmo's own rule: of all tilings up to `max_crops`, the one that scales the image up least,
    or, where every tiling scales it down, the one that scales it down least.

    Computed in float32, as published. A side that the margins use up needs an infinite scale.

    Args:
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
        max_crops: Most crops.
        geometry: Geometry of the crops.

    Raises:
        TypeError: A side that is no whole number.
        ValueError: A side is below 1 pixel, or `max_crops` below 1.
    """
    if max_crops < 1:
        raise ValueError(f"no tiling has at most {max_crops} crops")
    sides = checked_sides([height], [width])
    rows, cols = _native_tilings(sides[0], sides[1], max_crops, geometry)[0]
    return int(rows), int(cols)


@cache
def _native_candidates(max_crops: int) -> NDArray[np.int64]:
    return np.array([t for n in range(1, max_crops + 1) for t in candidate_tilings(n)])


def _native_tilings(
    heights: NDArray[np.int64], widths: NDArray[np.int64], max_crops: int, geometry: CropGeometry
) -> NDArray[np.int64]:
    """(N,) pixels to (N, 2) tilings."""
    candidates = _native_candidates(max_crops)
    windows = (candidates * geometry.window_size).astype(np.float32)  # (T, 2)
    sides = np.stack([heights, widths], axis=-1).astype(np.float32) - np.float32(
        geometry.margin_size
    )
    chosen = np.empty(len(sides), dtype=np.int64)
    for start in range(0, len(sides), _CHUNK):
        chunk = sides[start : start + _CHUNK, None, :]  # (n, 1, 2)
        with np.errstate(divide="ignore"):
            scales = np.minimum(windows[:, 0] / chunk[..., 0], windows[:, 1] / chunk[..., 1])
        best = scales.argmax(axis=-1)
        (enlarged,) = np.nonzero(scales[np.arange(len(best)), best] >= 1)
        scales = scales[enlarged]
        best[enlarged] = np.where(scales >= 1, scales, np.inf).argmin(axis=-1)
        chosen[start : start + _CHUNK] = best
    return candidates[chosen]
