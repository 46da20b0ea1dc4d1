"""Qwen3-VL (2025): Qwen2-VL's rule with cells of 32 pixels, 64 to 16,384 of them."""

from __future__ import annotations

from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.pixel_range import PixelRangeFamily
from tierexp.models.plans.plan import Preset
from tierexp.models.qwen3_vl.encoder import vision_flops

FAMILY = Family(
    (
        Preset(
            "qwen3_vl",
            "patch 16, 65536 to 16777216 pixels",
            PixelRangeFamily(cell_size=32, min_pixels=65536, max_pixels=16777216),
        ),
    ),
    model_type="qwen3_vl",
    library=LibraryClasses("Qwen3VLProcessor", vision_flops=vision_flops),
)
