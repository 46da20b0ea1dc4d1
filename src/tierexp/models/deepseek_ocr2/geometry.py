"""DeepSeek-OCR 2: a padded global view, and for images above the size of a tile two to six
tiles of the closest aspect ratio; one separator. Everything is a placeholder: there are no marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tierexp.models.family import Family
from tierexp.models.plans.closest_aspect import closest_aspect_grids
from tierexp.models.plans.crops import grids_by_count
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


@dataclass(frozen=True)
class DeepseekOcr2Geometry(FamilyGeometry):
    """A global view, and tiles of images that are larger than one.

    Args:
        tile_size: Side of a tile, in pixels.
        view_size: Side of the global view, in pixels.
        cell_size: Side of what becomes a token, in pixels.
        min_patches: Fewest tiles of a large image.
        max_patches: Most tiles.
    """

    global_view: ClassVar[GlobalView] = "last"

    tile_size: int = 768
    view_size: int = 1024
    cell_size: int = 64
    min_patches: int = 2
    max_patches: int = 6

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_by_count(self.min_patches, self.max_patches)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        longer, shorter = np.maximum(heights, widths), np.minimum(heights, widths)
        grids = closest_aspect_grids(heights, widths, self._candidates, self.tile_size)
        large = longer > self.tile_size
        grids[~large] = 1
        tiles = np.where(large, grids[:, 0] * grids[:, 1], 0)
        plans = ImagePlans(
            grids,
            tiles + 1,
            (self.view_size // self.cell_size) ** 2
            + 1
            + tiles * (self.tile_size // self.cell_size) ** 2,
            np.zeros(len(tiles), np.int64),
            np.zeros(len(tiles), np.bool_),
        )
        # The view keeps the image's shape, and a side of it may come out without a pixel.
        gone = np.rint(shorter * (self.view_size / longer)) < 1
        return refuse(plans, gone) if gone.any() else plans

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return [(1, 1), *self._candidates]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.tile_size * rows, self.tile_size * cols) for rows, cols in grids]


FAMILY = Family(
    (Preset("deepseek_ocr2", "class defaults", DeepseekOcr2Geometry()),),
)
