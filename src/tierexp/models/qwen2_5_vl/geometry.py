"""Qwen2.5-VL ("Qwen2.5-VL Technical Report", 2025): Qwen2-VL's rule up to 16,384 cells."""

from __future__ import annotations

from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.pixel_range import PixelRangeFamily
from tierexp.models.plans.plan import Preset
from tierexp.models.qwen2_5_vl.encoder import vision_flops

FAMILY = Family(
    (
        Preset(
            "qwen2_5_vl",
            "min 3136, max 12845056 pixels",
            PixelRangeFamily(cell_size=28, min_pixels=3136, max_pixels=12845056),
        ),
    ),
    model_type="qwen2_5_vl",
    library=LibraryClasses("Qwen2_5_VLProcessor", vision_flops=vision_flops),
)
