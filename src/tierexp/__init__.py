"""tierexp: the number of vision tokens of a vision-language model as a control knob."""

from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.native import select_tiling
from tierexp.tiers.selection import Selection, select_crops
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier

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
