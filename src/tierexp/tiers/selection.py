"""Which crop count and tiling an image gets.

In: the size of an image and a rule, such as a tier. Out: a `Selection`. The choice depends on the
image's size alone; nothing here opens an image.

Tiers follow the hybrid-tier definition of this project: the smallest mismatch of aspect ratios,
preferred counts first.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierexp.tiers.aspects import checked_sides, inner_aspect, inner_aspects, mismatches
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold


@dataclass(frozen=True, slots=True)
class Selection:
    """What an image is cut into.

    Args:
        crops: Number of crops, the global view not counted.
        tiling: Their (rows, cols).
        mismatch: |cols / rows - a|, where a is the image's aspect ratio after the canvas margins
            are subtracted, whatever metric the selection minimised.
    """

    crops: int
    tiling: Tiling
    mismatch: float


@dataclass(frozen=True)
class SelectionArrays:
    """The selections of many images, column by column.

    Args:
        crops: (N,) int64.
        tilings: (N, 2) int64, rows and columns.
        mismatch: (N,) float64.
    """

    crops: NDArray[np.int64]
    tilings: NDArray[np.int64]
    mismatch: NDArray[np.float64]

    def of_image(self, row: int) -> Selection:
        """The selection of one of the images."""
        rows, cols = self.tilings[row].tolist()
        return Selection(int(self.crops[row]), (rows, cols), float(self.mismatch[row]))


def select_crops(
    tier: CropRule,
    height: int,
    width: int,
    geometry: CropGeometry = CropGeometry(),
    threshold: Threshold = Threshold(),
) -> Selection:
    """The crops of one image.

    Args:
        tier: A tier, or another rule.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
        geometry: Geometry of the crops.
        threshold: When a tier's preferred counts suffice; Molmo's own rule has no use for it.

    Raises:
        TypeError: A side that is no whole number.
        ValueError: A side is below 1 pixel.
    """
    # Python's whole numbers do not overflow; numpy's would.
    height, width = index(height), index(width)
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels cannot be tiled")
    numerator, denominator = inner_aspect(height, width, geometry)
    rows, cols = tiling = tier.tiling(height, width, geometry, threshold)
    mismatch = abs(cols * denominator - rows * numerator) / (rows * denominator)
    return Selection(rows * cols, tiling, mismatch)


def select_crops_many(
    tier: CropRule,
    heights: ArrayLike,
    widths: ArrayLike,
    geometry: CropGeometry = CropGeometry(),
    threshold: Threshold = Threshold(),
) -> SelectionArrays:
    """The crops of many images: `select_crops` for each of them, in one look-up.

    Args:
        tier: A tier, or another rule.
        heights: Heights of the images, whole pixels; broadcast against `widths`.
        widths: Widths of the images, whole pixels.
        geometry: Geometry of the crops.
        threshold: When a tier's preferred counts suffice.

    Raises:
        TypeError: Sides that are not whole numbers.
        ValueError: A side is below 1 pixel.
    """
    height, width = (side.reshape(-1) for side in checked_sides(heights, widths))
    tilings = tier.tilings(height, width, geometry, threshold)
    mismatch = mismatches(tilings, *inner_aspects(height, width, geometry))
    return SelectionArrays(tilings[:, 0] * tilings[:, 1], tilings, mismatch)
