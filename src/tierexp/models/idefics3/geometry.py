"""Idefics3 ("Building and better understanding vision-language models", 2024): the longer side
becomes four crops of 364 pixels, the global view last.

Marks are counted with a token a byte for line breaks; a checkpoint's tokenizer may join two of
them.
"""

from __future__ import annotations

from tierexp.models.idefics3.encoder import merged_side, vision_flops
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.longest_edge_crops import SplitFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "idefics3",
            "class defaults (4 x 364)",
            SplitFamily(crop_size=364, tokens_per_image=169, longest_edge=1456),
        ),
    ),
    model_type="idefics3",
    library=LibraryClasses("Idefics3Processor", vision_flops=vision_flops, merged_side=merged_side),
)
