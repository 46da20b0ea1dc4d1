"""tierexp: the number of vision tokens of a vision-language model as a control knob."""

from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import Selection, select_crops, select_tiling
from tierexp.tiers.tier import Threshold, Tier

__version__ = "0.2.0"

__all__ = [
    "CropGeometry",
    "Selection",
    "Threshold",
    "Tier",
    "__version__",
    "load_tier",
    "select_crops",
    "select_tiling",
]
