"""tierexp: the number of vision tokens of a vision-language model as a control knob."""

from tierexp.geometry import CropGeometry
from tierexp.tiers import Threshold, Tier

__all__ = ["CropGeometry", "Threshold", "Tier"]
