"""Llama 3.2 Vision (Mllama, 2024): tiles of the canvas that scales an image least, without a global
view.

Its language model reads an image through cross-attention: one placeholder stands in the sequence,
and `vision_tokens` are the 1,601 states of every real tile that it attends to. The encoder always
sees four tiles: the missing ones are padding, masked out later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tierexp.models.plans.family import Family
from tierexp.models.plans.least_scaling import LeastScalingFamily
from tierexp.models.plans.plan import ImagePlans, Preset, Sides
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class MllamaGeometry(LeastScalingFamily):
    """Tiles without a global view, padded to their greatest number."""

    global_view: ClassVar[GlobalView] = "none"

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self.grids(heights, widths)
        ones = np.ones(len(grids), np.int64)
        return ImagePlans(
            grids,
            ones * self.max_crops,
            grids[:, 0] * grids[:, 1] * self.tokens_per_image,
            ones * self.fixed_marks,
            np.zeros(len(grids), np.bool_),
        )


FAMILY = Family(
    (
        Preset(
            "mllama",
            "560, up to 4 tiles",
            # Marks: the start of the sequence and the placeholder.
            MllamaGeometry(crop_size=560, tokens_per_image=1601, fixed_marks=2, max_crops=4),
        ),
    ),
)
