"""Molmo2 (2025): Molmo's rule with crops of 378 pixels, up to 8 of them."""

from __future__ import annotations

from tierexp.models.molmo2.pooled_canvas import PooledCanvas
from tierexp.models.plans.family import Family
from tierexp.models.plans.overlapping import OverlappingCrops
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "molmo2",
            "class defaults (8 crops)",
            OverlappingCrops(PooledCanvas(crop_size=378), max_crops=8),
        ),
    ),
    model_type="molmo2",
    own_option="molmo2_4b",
)
