"""DeepSeek-OCR ("DeepSeek-OCR: Contexts Optical Compression", 2025) at its dynamic setting: a
padded global view of 1,024 pixels, and for images above 640 pixels two to nine crops of 640 of the
closest aspect ratio. A line break ends every row of tokens, a separator the view; both are
placeholders.

transformers has no processor for it: the plan follows the code published with the checkpoint. The
crops come before the view.
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
from tierexp.models.plans.crops import grids_in_set_order
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Preset, Sides, Size
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class DeepseekOcrGeometry(FamilyGeometry):
    """A global view, and crops of images that are larger than one.

    Args:
        image_size: Side of a crop, in pixels.
        base_size: Side of the global view, in pixels.
        cell_size: Side of what becomes a token, in pixels.
        min_crops: Fewest crops of a large image.
        max_crops: Most crops.
    """

    global_view: ClassVar[GlobalView] = "last"

    image_size: int = 640
    base_size: int = 1024
    cell_size: int = 64
    min_crops: int = 2
    max_crops: int = 9

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_in_set_order(self.min_crops, self.max_crops)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = closest_aspect_grids(heights, widths, self._candidates, self.image_size)
        large = np.maximum(heights, widths) > self.image_size
        grids[~large] = 1
        rows, cols = grids.T
        side = self.image_size // self.cell_size
        view = self.base_size // self.cell_size
        crop_tokens = rows * side * (cols * side + 1)
        return ImagePlans(
            grids,
            1 + np.where(large, rows * cols, 0),
            view * (view + 1) + 1 + np.where(large, crop_tokens, 0),
            np.ones(len(grids), np.int64),  # the start of the sequence
            np.zeros(len(grids), np.bool_),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return [(1, 1), *self._candidates]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.image_size * rows, self.image_size * cols) for rows, cols in grids]


FAMILY = Family(
    (
        Preset(
            "deepseek_ocr",
            "base 1024, crops of 640, 2 to 9 of them",
            DeepseekOcrGeometry(),
            follows="the code published with the checkpoint",
        ),
    ),
)
