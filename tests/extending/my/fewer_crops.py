"""A family of one's own that `transformers` answers for: InternVL with six crops at most."""

from __future__ import annotations

from tierexp.models.internvl.geometry import FAMILY as INTERNVL
from tierexp.models.plans.closest_aspect import ClosestAspectFamily
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "fewer_crops",
            "size 448, 1 to 6 patches",
            ClosestAspectFamily(crop_size=448, tokens_per_image=256, fixed_marks=2, max_patches=6),
            arguments=(("max_patches", 6),),
        ),
    ),
    model_type="internvl",
    library=INTERNVL.library,
)
