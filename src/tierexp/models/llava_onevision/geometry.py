"""LLaVA-OneVision (2024): the best of 36 resolutions, padding dropped, the global view first;
feature maps of more than nine crops are shrunk (`anyres_max_9`).
"""

from __future__ import annotations

from tierexp.models.llava_next.encoder import vision_flops
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.pinpoints import PinpointFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "llava_ov",
            "class defaults (384, 729 tokens, anyres_max_9)",
            PinpointFamily(
                crop_size=384,
                side_tokens=27,
                pinpoints=tuple((rows, cols) for rows in range(1, 7) for cols in range(1, 7)),
                max_crops=9,
            ),
        ),
    ),
    model_type="llava_onevision",
    library=LibraryClasses(
        "LlavaOnevisionProcessor", "image_token_index", vision_flops=vision_flops, marked_rows=True
    ),
)
