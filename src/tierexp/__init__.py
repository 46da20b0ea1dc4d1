"""tierexp: the number of vision tokens of a vision-language model as a control knob."""

from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import Selection, select_crops, select_tiling
from tierexp.tiers.tier import Threshold, Tier

__all__ = [
    "CropGeometry",
    "Selection",
    "Threshold",
    "Tier",
    "load_tier",
    "select_crops",
    "select_tiling",
]
