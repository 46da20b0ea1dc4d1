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
from PIL import Image, ImageChops

VERSION = 1
"""Version of what is looked for; a change of it is a new one."""
SIDE = 512
"""The square root of a thumbnail's area, in pixels; smaller images are taken as they are."""
_SMALLEST = 4
"""Pixels of the thumbnail: a region lower or narrower is noise."""
_VIVID = 70
"""Saturation and value, of 255, from which a pixel has a colour to speak of."""

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
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
    """
    scale = min(1.0, SIDE / float(np.sqrt(height * width)))
    return max(1, round(scale * max(height, width)))


def regions(thumbnail: NDArray[np.uint8], size: tuple[int, int]) -> Regions:
    """The vivid regions of an image, by colour word.

    Args:
        thumbnail: (h, w, 3) RGB, of any size.
        size: (height, width) of the image, in pixels.
    """
    down, across = size[0] / thumbnail.shape[0], size[1] / thumbnail.shape[1]
    boxes, words = _patches(_colors(thumbnail))
    found: dict[str, list[Region]] = {word: [] for word in HUES}
    names = list(HUES)
    for (top, left, bottom, right), word in zip(boxes.tolist(), words.tolist(), strict=True):
        found[names[word - 1]].append(
            Region(top * down, left * across, bottom * down, right * across)
        )
    return {word: tuple(of_word) for word, of_word in found.items()}


def _word_of_hue() -> NDArray[np.uint8]:
    """(256,) of Pillow's hues: the number of a colour word in `HUES`, from 1."""
    degrees = np.arange(256) * 360 // 255
    words = np.zeros(256, np.uint8)
    for number, ranges in enumerate(HUES.values(), start=1):
        for first, end in ranges:
            words[(degrees >= first) & (degrees < end)] = number
    return words


_WORD_OF_HUE = _word_of_hue()


def _colors(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w): the number of every vivid pixel's colour word, 0 of all others."""
    red, green, blue = Image.fromarray(thumbnail).split()
    value = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    spread = ImageChops.subtract(value, ImageChops.darker(ImageChops.darker(red, green), blue))
    # Saturation is 255 x spread / value. Few pixels pass, and only those need their hue; what
    # Pillow's rounding does to the limit is left to Pillow.
    least = value.point([v * (_VIVID - 1) // 255 if v >= _VIVID else 255 for v in range(256)])
    vivid = np.asarray(spread) >= np.asarray(least)
    words = np.zeros(vivid.shape, np.uint8)
    hsv = np.asarray(Image.fromarray(thumbnail[vivid][None]).convert("HSV"))[0]
    words[vivid] = np.where(hsv[:, 1] >= _VIVID, _WORD_OF_HUE[hsv[:, 0]], 0)
    return words


def _patches(words: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The boxes of all patches of one number above 0, neighbours at corners included.

    Every row is cut into runs of one number; runs that touch one in the row below are one patch.

    Args:
        words: (h, w).

    Returns:
        (K, 4) top, left, bottom, right of patches of at least `_SMALLEST` pixels each way, and (K,)
        their numbers.
    """
    from scipy.sparse import coo_array  # of the extra `policies`; only a fit policy needs it
    from scipy.sparse.csgraph import connected_components

    stride = words.shape[1] + 1  # a column of 0 ends every row
    flat = np.pad(words, ((0, 0), (0, 1))).reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    inside = flat[edges[:-1]] > 0
    starts, ends = edges[:-1][inside], edges[1:][inside]
    number = flat[starts]
    if not len(starts):
        return np.empty((0, 4), np.int64), number
    # Both starts and ends ascend: of each run, those in the row below that it touches stand in
    # one piece.
    first = np.searchsorted(ends, starts + stride, side="left")
    touched = np.maximum(np.searchsorted(starts, ends + stride, side="right") - first, 0)
    above = np.repeat(np.arange(len(starts)), touched)
    below = np.arange(len(above)) - np.repeat(np.cumsum(touched) - touched - first, touched)
    same = number[above] == number[below]
    links = (np.ones(int(same.sum()), np.int8), (above[same], below[same]))
    count, patch = connected_components(
        coo_array(links, shape=(len(starts), len(starts))), directed=False
    )
    row, left = np.divmod(starts, stride)
    ends_of = {"top": row, "left": left, "bottom": row + 1, "right": left + ends - starts}
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = max(words.shape), 0
    for column, values in enumerate(ends_of.values()):
        (np.minimum if column < 2 else np.maximum).at(boxes[:, column], patch, values)
    numbers = np.empty(count, np.uint8)
    numbers[patch] = number
    large = (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST).all(axis=1)
    return boxes[large], numbers[large]


def named_colors(question: str) -> list[str]:
    """The colour words in a question, in the order of `HUES`."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    return [word for word in HUES if word in words]
