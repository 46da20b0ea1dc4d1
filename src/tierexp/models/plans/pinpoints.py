"""The best of a list of resolutions, and the tokens left once its padding is dropped: LLaVA-NeXT's
rule ("LLaVA-NeXT", 2024), LLaVA-OneVision's and Granite 4 Vision's after it.

The image is fitted into the resolution (a pinpoint, a multiple of the crop's side) that keeps most
of its pixels, wasting as few as possible, and padded. The language model reads the global view, and
of the crops the features that are not padding, with a line break after each of their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size
from tierexp.tiers.geometry import GlobalView

_SHRUNK = 1.1
"""How many times too long the sides of a feature map may be before it is shrunk."""


def best_resolutions(
    heights: Sides, widths: Sides, resolutions: Sequence[Size]
) -> NDArray[np.int64]:
    """(N,): which of `resolutions` each image is fitted into: of those that keep most pixels the
    smallest, since it wastes least; the first of equal ones.

    Args:
        heights: (N,) pixels.
        widths: (N,) pixels.
        resolutions: Heights and widths, in pixels.
    """
    order = sorted(range(len(resolutions)), key=lambda index: _area(resolutions[index]))
    tall, wide = heights.astype(np.float64), widths.astype(np.float64)
    own = tall * wide
    by_height = {height: height / tall for height, _ in resolutions}
    by_width = {width: width / wide for _, width in resolutions}
    # One number for both comparisons: pixels first, and below them the place in the order.
    places = len(order)
    best = np.full(len(own), -1.0)
    for place, index in enumerate(order):
        height, width = resolutions[index]
        scale = np.minimum(by_width[width], by_height[height])
        kept = np.trunc(wide * scale)
        kept *= np.trunc(np.multiply(tall, scale, out=scale), out=scale)
        np.minimum(kept, own, out=kept)
        kept *= places
        kept += places - 1 - place
        np.maximum(best, kept, out=best)
    return np.array(order)[places - 1 - (best % places).astype(np.int64)]


def _area(size: Size) -> int:
    return size[0] * size[1]


@dataclass(frozen=True)
class PinpointFamily(FamilyGeometry):
    """Crops of a pinpoint, and always a global view.

    Args:
        crop_size: Side of a crop, in pixels.
        side_tokens: Tokens along one side of a crop.
        pinpoints: Grids of crops, in the order of the settings.
        max_crops: Feature maps of more than so many crops' tokens are shrunk to about as many;
            None where they never are.
    """

    global_view: ClassVar[GlobalView] = "first"

    crop_size: int
    side_tokens: int
    pinpoints: tuple[Grid, ...]
    max_crops: int | None = None

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        sizes = self.sizes_for(self.pinpoints)
        grids = np.array(self.pinpoints, np.int64)[best_resolutions(heights, widths, sizes)]
        rows, cols = self._unpadded(heights, widths, *(grids * self.side_tokens).T)
        if self.max_crops is not None:
            rows, cols = self._shrunk(rows, cols)
        count = len(heights)
        return ImagePlans(
            grids,
            grids[:, 0] * grids[:, 1] + 1,
            self.side_tokens**2 + rows * cols + rows,
            np.zeros(count, np.int64),
            np.zeros(count, np.bool_),
        )

    @staticmethod
    def _unpadded(heights: Sides, widths: Sides, rows: Sides, cols: Sides) -> tuple[Sides, Sides]:
        """The features that show the image: of a feature map of the grid, the middle rows or
        columns. The fraction of a feature is dropped on both sides alike.
        """
        wide = widths / heights > cols / rows
        row_padding = (rows - heights * cols // widths) // 2
        col_padding = (cols - widths * rows // heights) // 2
        return (
            rows - 2 * np.where(wide, row_padding, 0),
            cols - 2 * np.where(wide, 0, col_padding),
        )

    def _shrunk(self, rows: Sides, cols: Sides) -> tuple[Sides, Sides]:
        assert self.max_crops is not None
        ratio = np.sqrt(rows * cols / (self.max_crops * self.side_tokens**2))
        shrunk = ratio > _SHRUNK
        safe = np.where(shrunk, ratio, 1.0)
        return (
            np.where(shrunk, rows // safe, rows).astype(np.int64),
            np.where(shrunk, cols // safe, cols).astype(np.int64),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens  # what a grid costs depends on the image: all are tried
        return self.pinpoints

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.crop_size * rows, self.crop_size * cols) for rows, cols in grids]
