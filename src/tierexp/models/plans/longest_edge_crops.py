"""Whole crops along the longest edge: the rule of Idefics3, and of SmolVLM after it.

The longer side of every image becomes one length, however small the image; then both sides are
rounded up to whole crops. So a small image costs as much as a large one, and a square more than a
photograph; a tier sets that length too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.plan import Grid, ImagePlans, Sides, Variant

_LARGEST = 4096
"""No side is resized to more, whatever the settings say, in pixels."""


@dataclass(frozen=True)
class SplitFamily(CropFamily):
    """Crops of an image whose longer side was resized to one length, and the global view.

    Args:
        longest_edge: What the longer side is resized to, in pixels.
        do_image_splitting: Whether there are crops; otherwise the whole image is the only one.
    """

    longest_edge: int = 1456
    do_image_splitting: bool = True

    @override
    def all_grids(self) -> Iterable[Grid]:
        most = -(-min(self.longest_edge, _LARGEST) // self.crop_size)
        return grids_by_count(1, most**2) if self.do_image_splitting else [(1, 1)]

    @override
    def variants(self, max_tokens: int) -> Sequence[Variant]:
        most = max_tokens // self.tokens_per_image
        edges = [
            self.crop_size * crops for crops in range(1, min(most, _LARGEST // self.crop_size) + 1)
        ]
        return [
            Variant({"size": {"longest_edge": edge}}, replace(self, longest_edge=edge))
            for edge in edges
        ]

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        if not self.do_image_splitting:
            return np.ones((len(heights), 2), np.int64)
        wide = widths >= heights
        longer, shorter = self._resized(heights, widths, wide)
        # A side of the resized image is compared with the other one: their ratio, not the image's.
        aspect = np.where(wide, longer / shorter, shorter / longer)
        along = -(-longer // self.crop_size)
        length = along * self.crop_size
        across = np.where(wide, length / aspect, length * aspect).astype(np.int64)
        across = -(-across // self.crop_size)
        return np.stack([np.where(wide, across, along), np.where(wide, along, across)], axis=-1)

    def _resized(
        self, heights: Sides, widths: Sides, wide: NDArray[np.bool_]
    ) -> tuple[Sides, Sides]:
        """(N,) the longer and (N,) the shorter side after the first resize; the shorter is even."""
        aspect = widths / heights
        length = self.longest_edge
        shorter = np.where(wide, length / aspect, length * aspect).astype(np.int64)
        shorter = np.maximum(shorter + shorter % 2, 1)
        if length > _LARGEST:
            aspect = np.where(wide, length / shorter, shorter / length)
            length = _LARGEST
            shorter = np.where(wide, length / aspect, length * aspect).astype(np.int64)
            shorter = np.maximum(shorter, 1)
        return np.full_like(shorter, length), shorter

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        plans = super().plan_sides(heights, widths)
        rows, crops = plans.grids[:, 0], plans.grids[:, 0] * plans.grids[:, 1]
        # Two marks before every crop, a line break after every row, one and three around the view.
        marks = np.where(crops > 1, 2 * crops + rows + 4, 3)
        return ImagePlans(plans.grids, plans.images, plans.vision_tokens, marks, plans.refused)
