"""Phi-4 multimodal ("Phi-4-Mini Technical Report", 2025): as many crops as cover an image, or the
closest aspect ratio where those are too many; padding is dropped, the global view first.

The processor refuses an image that its canvas would show with fewer than ten pixels to a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.closest_aspect import closest_aspect_grids
from tierexp.models.plans.crops import grids_by_count, grids_in_set_order
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import (
    FamilyGeometry,
    Grid,
    ImagePlans,
    Preset,
    Sides,
    Size,
    refuse,
)
from tierexp.tiers.geometry import GlobalView

_FEWEST_PIXELS = 10


@dataclass(frozen=True)
class Phi4Geometry(FamilyGeometry):
    """Crops, of which the part that shows the image is read, and the global view.

    Args:
        crop_size: Side of a crop, in pixels.
        patch_size: Side of a patch, in pixels; two by two of them are a token.
        dynamic_hd: Most crops; the global view comes on top.
    """

    global_view: ClassVar[GlobalView] = "first"

    crop_size: int = 448
    patch_size: int = 14
    dynamic_hd: int = 36

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_in_set_order(1, self.dynamic_hd)

    @property
    def _side_patches(self) -> int:
        return self.crop_size // self.patch_size

    def _grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        grids = np.stack([-(-heights // self.crop_size), -(-widths // self.crop_size)], axis=-1)
        (many,) = np.nonzero(grids[:, 0] * grids[:, 1] > self.dynamic_hd)
        if len(many):
            grids[many] = closest_aspect_grids(
                heights[many], widths[many], self._candidates, self.crop_size
            )
        return grids

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self._grids(heights, widths)
        height, width = (grids * self.crop_size).T
        by_width, by_height = width / widths, height / heights
        full_width = by_width < by_height
        shown_height = np.where(full_width, (heights * by_width).astype(np.int64), height)
        shown_width = np.where(full_width, width, (widths * by_height).astype(np.int64))
        rows = self._read(grids[:, 0], height - shown_height)
        cols = self._read(grids[:, 1], width - shown_width)
        side = -(-self._side_patches // 2)
        plans = ImagePlans(
            grids,
            grids[:, 0] * grids[:, 1] + 1,
            # The view and its line breaks, a separator, the crops and their line breaks.
            side**2 + side + 1 + rows * cols + rows,
            np.zeros(len(grids), np.int64),
            np.zeros(len(grids), np.bool_),
        )
        small = np.minimum(shown_height, shown_width) < _FEWEST_PIXELS
        return refuse(plans, small) if small.any() else plans

    def _read(self, crops: Sides, padding: Sides) -> Sides:
        """(N,): tokens along one side that show a part of the image."""
        patches = crops * self._side_patches - padding // self.patch_size
        return -(-patches // 2)

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return grids_by_count(1, self.dynamic_hd)

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.crop_size * rows, self.crop_size * cols) for rows, cols in grids]


FAMILY = Family(
    (Preset("phi4", "class defaults (448, dynamic_hd 36)", Phi4Geometry()),),
)
