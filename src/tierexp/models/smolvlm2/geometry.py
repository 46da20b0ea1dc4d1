"""SmolVLM2 ("SmolVLM", 2025): Idefics3's rule with crops of 512 pixels and 64 tokens."""

from __future__ import annotations

from tierexp.models.idefics3.encoder import merged_side, vision_flops
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.longest_edge_crops import SplitFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "smolvlm2",
            "longest edge 2048, max image 512, 64 tokens",
            SplitFamily(crop_size=512, tokens_per_image=64, longest_edge=2048),
        ),
    ),
    model_type="smolvlm",
    library=LibraryClasses("SmolVLMProcessor", vision_flops=vision_flops, merged_side=merged_side),
)
