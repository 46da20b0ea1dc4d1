"""Bringing an image to a canvas: where it lands.

In: an image's size, a canvas size and a resize mode. Out: a `Placement`, the affine map between the
two. Knows nothing about crops or tokens, and looks at no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import choice, flag
from tierexp.errors import ConfigError

ResizeMode = Literal["fill", "letterbox", "stretch"]
"""`fill` covers the canvas and crops what stands out, `letterbox` shows the whole image and pads,
`stretch` gives up the aspect ratio."""

Size = tuple[int, int]
"""(height, width) in pixels."""

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""Colours: uint8, or float32 in [0, 1]."""


@dataclass(frozen=True)
class Resize:
    """How images are brought to the sizes a model takes.

    Args:
        crops: The mode for the canvas that is cut into crops.
        global_view: The mode for the view of the whole image; Molmo was trained on letterbox.
        exact: Compute in float32 as the published Molmo preprocessor does, and hand out float32
            pixels; otherwise uint8, within 1/255 on average and 2/255 at any pixel of that.
        antialias: False takes the four pixels around a point and no others, however much an image
            is scaled down, as the published Molmo2 preprocessor does to its stretched images.

    Raises:
        ConfigError: An unknown mode, a flag that is not a boolean, or images that are to be
            resampled without antialiasing but not stretched.
    """

    crops: ResizeMode = "fill"
    global_view: ResizeMode = "letterbox"
    exact: bool = False
    antialias: bool = True

    def __post_init__(self) -> None:
        modes = get_args(ResizeMode)
        for key in ("crops", "global_view"):
            choice(f"resize.{key}", getattr(self, key), modes)
        flag("resize.exact", self.exact)
        flag("resize.antialias", self.antialias)
        if not self.antialias and (self.crops, self.global_view) != ("stretch", "stretch"):
            allowed = "true, unless resize.crops and resize.global_view are both stretch"
            raise ConfigError("resize.antialias", False, allowed)


@dataclass(frozen=True)
class Placement:
    """Where an image lands on a canvas.

    The image is resampled to `scaled_size`, and its top left corner comes to lie at `offset`;
    what then stands out of the canvas is cropped, what is left uncovered is padding.

    Args:
        image_size: (height, width) of the image, in pixels.
        canvas_size: (height, width) of the canvas, in pixels.
        scaled_size: (height, width) of the whole image at the canvas's scale, in pixels.
        offset: (y, x) of the scaled image's corner on the canvas; negative where it is cropped.
    """

    image_size: Size
    canvas_size: Size
    scaled_size: Size
    offset: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas pixels per image pixel, (vertically, horizontally)."""
        return (
            self.scaled_size[0] / self.image_size[0],
            self.scaled_size[1] / self.image_size[1],
        )

    @cached_property
    def visible(self) -> tuple[int, int, int, int]:
        """The part of the canvas that shows the image: (top, left, bottom, right), in pixels."""
        top, left = max(self.offset[0], 0), max(self.offset[1], 0)
        bottom = min(self.offset[0] + self.scaled_size[0], self.canvas_size[0])
        right = min(self.offset[1] + self.scaled_size[1], self.canvas_size[1])
        return top, left, bottom, right

    @property
    def content_kept(self) -> float:
        """Fraction of the image's area that is on the canvas."""
        return self._visible_area() / (self.scaled_size[0] * self.scaled_size[1])

    @property
    def padding_fraction(self) -> float:
        """Fraction of the canvas's area that does not show the image."""
        return 1 - self._visible_area() / (self.canvas_size[0] * self.canvas_size[1])

    def to_canvas(self, y: float, x: float) -> tuple[float, float]:
        """The point (y, x) of the image, on the canvas; pixel i spans [i, i + 1)."""
        scale_y, scale_x = self.scale
        return y * scale_y + self.offset[0], x * scale_x + self.offset[1]

    def from_canvas(self, y: float, x: float) -> tuple[float, float]:
        """The point (y, x) of the canvas, on the image: the inverse of `to_canvas`."""
        scale_y, scale_x = self.scale
        return (y - self.offset[0]) / scale_y, (x - self.offset[1]) / scale_x

    def _visible_area(self) -> int:
        top, left, bottom, right = self.visible
        return (bottom - top) * (right - left)


# Images of a data set are of few sizes, and each is placed to be decoded and again to be resized.
@lru_cache(maxsize=4096)
def place(image_size: Size, canvas_size: Size, mode: ResizeMode) -> Placement:
    """Lay an image on a canvas.

    `fill` scales by the larger of the two quotients of sides and crops around the centre;
    `letterbox` follows Molmo's published preprocessor to the pixel: the smaller quotient in
    float32, truncated sizes (at least 1 pixel). Where an odd pixel is cropped or padded, it is
    at the bottom or on the right.

    Args:
        image_size: (height, width) of the image, in pixels.
        canvas_size: (height, width) of the canvas, in pixels.
        mode: What to do with unequal aspect ratios.
    """
    height, width = image_size
    canvas_height, canvas_width = canvas_size
    match mode:
        case "stretch":
            scaled = canvas_size
        case "fill" if canvas_height * width >= canvas_width * height:
            scaled = canvas_height, _rounded(width * canvas_height, height)
        case "fill":
            scaled = _rounded(height * canvas_width, width), canvas_width
        case "letterbox":
            sides = np.float32(height), np.float32(width)
            scale = min(np.float32(canvas_height) / sides[0], np.float32(canvas_width) / sides[1])
            scaled = max(1, int(sides[0] * scale)), max(1, int(sides[1] * scale))
    # int() truncates towards zero: padded or cropped, an odd pixel is at the bottom and right.
    offset = int((canvas_height - scaled[0]) / 2), int((canvas_width - scaled[1]) / 2)
    return Placement(image_size, canvas_size, scaled, offset)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
