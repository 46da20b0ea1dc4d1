"""tierexp: the number of vision tokens of a vision-language model as a control knob."""

from tierexp.geometry import CropGeometry
from tierexp.loading import load_tier
from tierexp.tiers import Threshold, Tier
from tierexp.tiling import Selection, select_crops, select_tiling

__all__ = [
    "CropGeometry",
    "Selection",
    "Threshold",
    "Tier",
    "load_tier",
    "select_crops",
    "select_tiling",
]
