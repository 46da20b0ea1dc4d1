"""What tiling does to an image, in numbers: the vocabulary that metrics are written in.

One class for one image and for a million: the fields of one image are numbers, those of N images
are arrays of shape (N,), and a formula over fields is the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Whole = TypeVar("Whole", int, NDArray[Any])
Real = TypeVar("Real", float, NDArray[np.float64])


@dataclass(frozen=True)
class ImageMeasurements(Generic[Whole, Real]):
    """One tiled image, or N of them; not a number where sizes alone do not tell.

    Args:
        height: Height of the image as displayed, in pixels.
        width: See `height`.
        rows: Crops from top to bottom.
        cols: Crops from left to right.
        crops: Crops, the global view not counted; an image of cells instead of crops is one.
        mismatch: |cols / rows - a|, a the image's aspect ratio less the margins.
        selected_vision_tokens: The budget, the global view's included.
        selected_crop_tokens: The budget of the crops alone.
        actual_vision_tokens: Tokens of the budget that see at least one
            pixel of the image.
        actual_crop_tokens: The same of the crops alone.
        llm_vision_tokens: What a language model receives, overlaps dropped.
        unreduced_vision_tokens: The same before the model reduces them on the way.
        content_kept: Fraction of the image's area left after cropping to the canvas.
        padding_fraction: Fraction of the canvas's area that is padding.
    """

    height: Whole
    width: Whole
    rows: Whole
    cols: Whole
    crops: Whole
    mismatch: Real
    selected_vision_tokens: Whole
    selected_crop_tokens: Whole
    actual_vision_tokens: Whole
    actual_crop_tokens: Whole
    llm_vision_tokens: Whole
    unreduced_vision_tokens: Whole
    content_kept: Real
    padding_fraction: Real


OneImage = ImageMeasurements[int, float]
ManyImages = ImageMeasurements[NDArray[Any], NDArray[np.float64]]
AnyImages = ImageMeasurements[Any, Any]
