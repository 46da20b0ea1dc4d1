"""How small the things in a picture are, seen cheaply: the regions of vivid colours in a thumbnail.

In: an image. Out: boxes, in the image's own pixels, and nothing of what they show. What decides
whether a point suffices is how many of its pixels fall on the smallest thing asked about; a
question often names that thing by its colour. Takes numpy, Pillow and scipy; imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VERSION = 1
"""Of what is looked for; a change of it is a new one."""
SIDE = 512
"""The square root of a thumbnail's area, in pixels; smaller images are taken as they are."""
_SMALLEST = 4
"""Pixels of the thumbnail: a region lower or narrower is noise."""
_VIVID = 70
"""Of 255: saturation and value from which a pixel has a colour to speak of."""

HUES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "red": ((345, 361), (0, 15)),
    "orange": ((15, 42),),
    "yellow": ((42, 70),),
    "green": ((70, 165),),
    "cyan": ((165, 200),),
    "blue": ((200, 255),),
    "purple": ((255, 300),),
    "pink": ((300, 345),),
}
"""Colour words to degrees of hue, [first, last)."""


@dataclass(frozen=True)
class Region:
    """A connected patch of one colour word, in pixels of the image.

    Args:
        top: First row, fractions included, as of the next three.
        left: First column.
        bottom: Row after the last.
        right: Column after the last.
    """

    top: float
    left: float
    bottom: float
    right: float

    @property
    def height(self) -> float:
        """In pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """In pixels."""
        return self.right - self.left


Regions = Mapping[str, tuple[Region, ...]]
"""By colour word."""


def thumbnail_side(height: float, width: float) -> int:
    """The longer side of an image's thumbnail: its area is at most `SIDE` squared pixels.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    scale = min(1.0, SIDE / float(np.sqrt(height * width)))
    return max(1, round(scale * max(height, width)))


def regions(thumbnail: NDArray[np.uint8], size: tuple[int, int]) -> Regions:
    """The vivid regions of an image, by colour word.

    Args:
        thumbnail: (h, w, 3) RGB, of any size.
        size: (height, width) of the image, in pixels.
    """
    from scipy import ndimage  # of the extra `policies`; only a fit policy needs it

    down, across = size[0] / thumbnail.shape[0], size[1] / thumbnail.shape[1]
    hsv = np.asarray(Image.fromarray(thumbnail).convert("HSV"))
    hue = hsv[..., 0].astype(np.int32) * 360 // 255
    vivid = (hsv[..., 1] >= _VIVID) & (hsv[..., 2] >= _VIVID)
    found: dict[str, tuple[Region, ...]] = {}
    for word, ranges in HUES.items():
        of_word = np.zeros_like(vivid)
        for first, end in ranges:
            of_word |= (hue >= first) & (hue < end)
        of_word &= vivid
        if not of_word.any():
            found[word] = ()
            continue
        labels, _ = ndimage.label(of_word, structure=np.ones((3, 3)))
        boxes = [
            (rows, cols)
            for rows, cols in ndimage.find_objects(labels)
            if rows.stop - rows.start >= _SMALLEST and cols.stop - cols.start >= _SMALLEST
        ]
        found[word] = tuple(
            Region(rows.start * down, cols.start * across, rows.stop * down, cols.stop * across)
            for rows, cols in boxes
        )
    return found


def named_colors(question: str) -> list[str]:
    """The colour words in a question, in the order of `HUES`."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    return [word for word in HUES if word in words]
