"""DeepSeek-OCR 2: a padded global view, and for images above the size of a tile two to six
tiles of the closest aspect ratio; one separator. Everything is a placeholder: there are no marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from tierexp.models.plans.crops import grids_by_count
from tierexp.models.plans.family import Family
from tierexp.models.plans.large_images import LargeImageCrops
from tierexp.models.plans.plan import Grid, ImagePlans, Preset, Sides, refuse


@dataclass(frozen=True)
class DeepseekOcr2Geometry(LargeImageCrops):
    """Neither line breaks nor marks."""

    @override
    def candidates(self) -> Sequence[Grid]:
        return grids_by_count(self.min_crops, self.max_crops)

    @override
    def view_tokens(self) -> int:
        return (self.view_size // self.cell_size) ** 2 + 1

    @override
    def crop_tokens(self, rows: Sides, cols: Sides) -> Sides:
        return rows * cols * (self.crop_size // self.cell_size) ** 2

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        plans = super().plan_sides(heights, widths)
        longer, shorter = np.maximum(heights, widths), np.minimum(heights, widths)
        # The view keeps the image's shape, and a side of it may come out without a pixel.
        gone = np.rint(shorter * (self.view_size / longer)) < 1
        return refuse(plans, gone) if gone.any() else plans


FAMILY = Family(
    (
        Preset(
            "deepseek_ocr2",
            "class defaults",
            DeepseekOcr2Geometry(
                crop_size=768, view_size=1024, cell_size=64, min_crops=2, max_crops=6, marks=0
            ),
        ),
    ),
)
