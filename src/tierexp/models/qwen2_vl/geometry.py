"""Qwen2-VL ("Qwen2-VL", 2024): cells of 28 pixels within a range of pixels."""

from __future__ import annotations

from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.pixel_range import PixelRangeFamily
from tierexp.models.plans.plan import Preset
from tierexp.models.qwen2_vl.encoder import vision_flops

FAMILY = Family(
    (
        Preset(
            "qwen2_vl",
            "class defaults",
            PixelRangeFamily(cell_size=28, min_pixels=56 * 56, max_pixels=28 * 28 * 1280),
        ),
    ),
    model_type="qwen2_vl",
    library=LibraryClasses("Qwen2VLProcessor", vision_flops=vision_flops),
)
