"""Cohere2 Vision (Command A Vision, 2025): the crops that scale an image least, the global view
last, a line break after every image. `min_patches` has no effect in the processor, and none here.
"""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.least_scaling import LeastScalingFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "cohere2",
            "class defaults (512, 1 to 12)",
            LeastScalingFamily(
                crop_size=512, tokens_per_image=256, fixed_marks=2, marks_per_image=1, max_crops=12
            ),
        ),
    ),
)
