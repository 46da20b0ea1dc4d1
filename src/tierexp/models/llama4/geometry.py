"""Llama 4 (2025): tiles of the canvas that scales an image least, the global view last. Scales are
compared in float32, and among equal ones the smallest canvas wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tierexp.models.plans.family import Family
from tierexp.models.plans.least_scaling import LeastScalingFamily
from tierexp.models.plans.plan import ImagePlans, Preset, Sides


@dataclass(frozen=True)
class Llama4Geometry(LeastScalingFamily):
    """A separator after every tile."""

    single: ClassVar[bool] = True

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
            Llama4Geometry(crop_size=336, tokens_per_image=144, max_crops=16),
        ),
    ),
)
