"""Gemma 3 ("Gemma 3 Technical Report", 2025): one squashed square; with pan and scan, the global
view first and a row or a column of crops where the image is long enough.

Pan and scan set in the image processor's configuration is overridden by the processor; only the
call's argument works. Its crops are cut from the image and squashed too: two crops of a 4:3 photo
are farther from a square than the photo. Text around the crops counts a token a byte here; a
checkpoint's tokenizer makes fewer of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tierexp.models.gemma3.encoder import merged_side, vision_flops
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.fixed_tokens import FixedTokens
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Preset, Sides, Size
from tierexp.tiers.geometry import GlobalView

_SIZE, _TOKENS, _MARKS = 896, 256, 6
_SENTENCES = 27 + 48
"""Bytes of the sentences before the view and between it and the crops."""


@dataclass(frozen=True)
class PanAndScan(FamilyGeometry):
    """Gemma 3 with pan and scan.

    Args:
        min_crop_size: A crop's sides are no shorter, in pixels.
        max_num_crops: Most crops.
        min_ratio: Images whose longer side is less than so many times the shorter get no crops.
    """

    global_view: ClassVar[GlobalView] = "first"

    min_crop_size: int = 256
    max_num_crops: int = 4
    min_ratio: float = 1.2

    def _counts(self, heights: Sides, widths: Sides) -> Sides:
        """(N,) crops along the longer side, 0 where there are none."""
        longer, shorter = np.maximum(heights, widths), np.minimum(heights, widths)
        ratio = longer / shorter
        count = np.minimum(longer // self.min_crop_size, np.floor(ratio + 0.5).astype(np.int64))
        count = np.minimum(np.maximum(count, 2), self.max_num_crops)
        side = -(-longer // count)
        fits = np.minimum(side, shorter) >= self.min_crop_size
        return np.where(fits & (ratio >= self.min_ratio), count, 0)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        crops = self._counts(heights, widths)
        along = np.maximum(crops, 1)
        wide = widths >= heights
        ones = np.ones_like(along)
        grids = np.stack([np.where(wide, ones, along), np.where(wide, along, ones)], axis=-1)
        images = crops + 1
        # A space between neighbouring crops.
        text = np.where(crops > 0, _SENTENCES + crops - 1, 0)
        return ImagePlans(
            grids, images, images * _TOKENS, images * _MARKS + text, np.zeros(len(crops), np.bool_)
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        along = range(2, self.max_num_crops + 1)
        return [(1, 1), *((1, n) for n in along), *((n, 1) for n in along)]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(_SIZE * rows, _SIZE * cols) for rows, cols in grids]


FAMILY = Family(
    (
        Preset("gemma3", "896, no pan and scan", FixedTokens(_SIZE, _TOKENS, _MARKS)),
        Preset(
            "gemma3_pan_and_scan",
            "896, pan and scan, up to 4 crops",
            PanAndScan(),
            arguments=(("do_pan_and_scan", True),),
        ),
    ),
    model_type="gemma3",
    library=LibraryClasses(
        "Gemma3Processor", "image_token_index", vision_flops=vision_flops, merged_side=merged_side
    ),
    answers_as="gemma3_pan_and_scan",
)
