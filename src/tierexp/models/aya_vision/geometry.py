"""Aya Vision (2025): InternVL's crops of 364 pixels; every image has its tile's name before it."""

from __future__ import annotations

from tierexp.models.aya_vision.encoder import merged_side, vision_flops
from tierexp.models.plans.closest_aspect import ClosestAspectFamily
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "aya",
            "size 364, crop_to_patches, 1 to 12",
            ClosestAspectFamily(
                crop_size=364, tokens_per_image=169, fixed_marks=2, marks_per_image=1
            ),
        ),
    ),
    model_type="aya_vision",
    library=LibraryClasses(
        "AyaVisionProcessor",
        "image_token_index",
        vision_flops=vision_flops,
        merged_side=merged_side,
    ),
)
