"""The names of `torchvision.transforms` that `transformers` imports."""

from enum import Enum


class InterpolationMode(Enum):
    """How pixels would be interpolated."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"
