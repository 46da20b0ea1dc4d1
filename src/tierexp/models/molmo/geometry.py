"""Molmo ("Molmo and PixMo", 2024): overlapping crops of the canvas that scales an image least, the
global view first; neighbouring crops give their overlap up.

A tier counts a crop with all its tokens, overlaps included (`CropGeometry.selected_vision_tokens`);
the language model reads fewer.
"""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.overlapping import OverlappingCrops
from tierexp.models.plans.plan import Preset
from tierexp.tiers.geometry import CropGeometry

FAMILY = Family(
    (
        Preset(
            "molmo",
            "336, up to 12 crops",
            OverlappingCrops(CropGeometry(), max_crops=12),
            follows="the processor released with the checkpoints",
        ),
    ),
    model_type="molmo",
    own_option="molmo",
)
