"""InternVL 2.5, 3 and 3.5 ("InternVL 1.5", 2024, dynamic resolution): crops of the closest aspect
ratio, the global view last.

The cap on crops leaves the global view out: at most 12 crops are 13 images, and one crop alone has
none beside it. Set in the image processor's configuration, `crop_to_patches` is overridden by the
processor; only the call's argument works.
"""

from __future__ import annotations

from tierexp.models.internvl.encoder import class_token, merged_side, vision_flops
from tierexp.models.plans.closest_aspect import ClosestAspectFamily
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "internvl",
            "size 448, crop_to_patches, 1 to 12 patches",
            ClosestAspectFamily(crop_size=448, tokens_per_image=256, fixed_marks=2),
        ),
    ),
    model_type="internvl",
    library=LibraryClasses(
        "InternVLProcessor",
        vision_flops=vision_flops,
        class_token=class_token,
        merged_side=merged_side,
    ),
)
