"""Qwen2.5-VL ("Qwen2.5-VL Technical Report", 2025): Qwen2-VL's rule up to 16,384 cells."""

from __future__ import annotations

from tierexp.models.plans.pixel_range import PixelRangeFamily
from tierexp.models.plans.plan import Preset

PRESETS = (
    Preset(
        "qwen2_5_vl",
        "min 3136, max 12845056 pixels",
        PixelRangeFamily(cell_size=28, min_pixels=3136, max_pixels=12845056),
    ),
)
