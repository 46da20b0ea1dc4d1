"""Llama 4 (2025): tiles of the canvas that scales an image least, the global view last. Scales are
compared in float32, and among equal ones the smallest canvas wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.family import Family
from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.least_scaling import least_scaling_grids
from tierexp.models.plans.plan import Grid, ImagePlans, Preset, Sides


@dataclass(frozen=True)
class Llama4Geometry(CropFamily):
    """Tiles of the canvas that scales an image least.

    Args:
        max_patches: Most tiles; the global view comes on top.
    """

    max_patches: int = 16

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_by_count(1, self.max_patches)

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        return least_scaling_grids(heights, widths, self._candidates, self.crop_size, single=True)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        plans = super().plan_sides(heights, widths)
        crops = plans.grids[:, 0] * plans.grids[:, 1]
        # Start, image and end; a separator after every tile, of the column or of the row.
        marks = 3 + np.where(crops > 1, crops, 0)
        return ImagePlans(plans.grids, plans.images, plans.vision_tokens, marks, plans.refused)


FAMILY = Family(
    (
        Preset(
            "llama4",
            "class defaults (336, 16 patches)",
            Llama4Geometry(crop_size=336, tokens_per_image=144),
        ),
    ),
)
