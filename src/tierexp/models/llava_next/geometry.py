"""LLaVA-NeXT ("LLaVA-NeXT", 2024): the best of five resolutions, padding dropped, the global view
first.

Not symmetric: a line break ends every row, and a tall image has more rows than a wide one.
"""

from __future__ import annotations

from tierexp.models.llava_next.encoder import vision_flops
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.pinpoints import PinpointFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "llava_next",
            "336, five pinpoints",
            PinpointFamily(
                crop_size=336,
                side_tokens=24,
                pinpoints=((1, 2), (2, 1), (2, 2), (3, 1), (1, 3)),
            ),
        ),
    ),
    model_type="llava_next",
    library=LibraryClasses("LlavaNextProcessor", "image_token_index", vision_flops=vision_flops),
)
