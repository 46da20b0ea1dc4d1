"""Bringing an image to a canvas: where it lands, and its resampled pixels.

In: an image's size (or pixels), a canvas size and a resize mode. Out: a `Placement`, the affine
map between the two, and the canvas. Knows nothing about crops or tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tierexp.checks import choice, flag
from tierexp.errors import ConfigError

if TYPE_CHECKING:
    import torch

ResizeMode = Literal["fill", "letterbox", "stretch"]
"""`fill` covers the canvas and crops what stands out, `letterbox` shows the whole image and pads,
`stretch` gives up the aspect ratio."""

Size = tuple[int, int]
"""(height, width) in pixels."""

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""Colours: uint8, or float32 in [0, 1]."""

_MAX_CROPPED_AREA = 8
"""Up to this multiple of the visible area, resampling everything and cropping is faster than
Pillow's resampling of the visible box alone."""


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
        """Share of the image's area that is on the canvas."""
        return self._visible_area() / (self.scaled_size[0] * self.scaled_size[1])

    @property
    def padding_fraction(self) -> float:
        """Share of the canvas's area that does not show the image."""
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


def render(
    image: NDArray[np.uint8], placement: Placement, exact: bool = False, antialias: bool = True
) -> Pixels:
    """Resample an image onto its canvas by a bilinear filter.

    Args:
        image: (height, width, 3) uint8.
        placement: Where it lands; its `image_size` is the image's.
        exact: Compute in float32.
        antialias: Average over all that a pixel covers; False only for a stretched image.

    Returns:
        The canvas, (H, W, 3), 0 where it is padding: uint8, or float32 in [0, 1] where exact.
        It can be a view of a larger array.
    """
    top, left, bottom, right = placement.visible
    size = bottom - top, right - left
    if size == placement.canvas_size:
        return _resample(image, placement, exact, antialias)
    shape = *placement.canvas_size, 3
    canvas: Pixels = np.empty(shape, np.float32) if exact else np.empty(shape, np.uint8)
    canvas[:top] = 0
    canvas[bottom:] = 0
    canvas[top:bottom, :left] = 0
    canvas[top:bottom, right:] = 0
    shown = canvas[top:bottom, left:right]
    if size == placement.scaled_size and shown.flags.c_contiguous:
        _resample_whole(image, size, (None, None), exact, out=shown)
    else:
        shown[...] = _resample(image, placement, exact, antialias)
    return canvas


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _resample(
    image: NDArray[np.uint8], placement: Placement, exact: bool, antialias: bool
) -> Pixels:
    """(bottom - top, right - left, 3): what `placement.visible` shows."""
    if not antialias:
        return _resample_plain(image, placement.scaled_size, exact)
    top, left, bottom, right = placement.visible
    scaled_area = placement.scaled_size[0] * placement.scaled_size[1]
    if scaled_area > _MAX_CROPPED_AREA * (bottom - top) * (right - left):
        return _resample_visible(image, placement, exact)
    y, x = top - placement.offset[0], left - placement.offset[1]
    height, width = placement.scaled_size
    row_scale = col_scale = None
    end_y, end_x = y + bottom - top, x + right - left
    if bottom - top < height:
        rows = _sources(image.shape[0], height, y, end_y)
        # Rows are left out where they lie; to leave out columns would be to copy the others.
        image = image[rows.start : rows.stop]
        y, end_y = y - rows.scaled_start, end_y - rows.scaled_start
        height, row_scale = _ending(end_y, image.shape[0], rows.scaled_length)
    if right - left < width:
        width, col_scale = _ending(end_x, image.shape[1], width)
    scaled = _resample_whole(image, (height, width), (row_scale, col_scale), exact)
    return scaled[y:end_y, x:end_x]


class _Sources(NamedTuple):
    """Pixels [start, stop) of one axis of an image, and the pixels they are resampled to."""

    start: int
    stop: int
    scaled_start: int
    scaled_length: int


def _sources(length: int, scaled: int, first: int, end: int) -> _Sources:
    """What the pixels [first, end) of an axis resampled from `length` to `scaled` are made of.

    Cut at any pixel, an image would be sampled at other points. Where the scale is the fraction
    p / q in lowest terms, every q pixels become p whole ones, and cutting there moves none.
    """
    divisor = math.gcd(length, scaled)
    p, q = scaled // divisor, length // divisor
    reach = math.ceil(max(1, length / scaled)) + 1  # of the bilinear filter, in pixels
    start = max(0, (first * length // scaled - reach) // q)
    stop = min(divisor, -(-(-(-end * length // scaled) + reach) // q))
    return _Sources(start * q, stop * q, start * p, (stop - start) * p)


def _resample_whole(
    image: NDArray[np.uint8],
    size: Size,
    scales: tuple[float | None, float | None],
    exact: bool,
    out: Pixels | None = None,
) -> Pixels:
    """All of an image, or its top left corner as large as `size` along an axis with a scale.

    The result goes to `out`, contiguous and of that size, where it is given.
    """
    import torch

    if not image.flags.carray:
        image = np.require(image, requirements=["C", "W"])
    batch = _channels_last(image)
    if exact:
        batch = batch.float() / 255
    # `torch.nn.functional.interpolate` ends here too, but takes a size or scales, not both.
    resize = torch.ops.aten._upsample_bilinear2d_aa
    if out is None:
        result = resize.default(batch, size, False, *scales)
    else:
        result = _channels_last(out)
        resize.out(batch, size, False, *scales, out=result)
    if exact:
        result.clamp_(0, 1)
    pixels: Pixels = result.numpy()[0].transpose(1, 2, 0)
    return pixels


def _channels_last(pixels: Pixels) -> torch.Tensor:
    """(1, 3, H, W), the memory of (H, W, 3) contiguous pixels.

    With a leading axis of a proper stride, torch sees channels last: its uint8 kernel for that
    layout is twice as fast, and what it gives is (H, W, 3) in memory again.
    """
    import torch

    return torch.from_numpy(pixels.reshape(1, *pixels.shape).transpose(0, 3, 1, 2))


def _ending(end: int, length: int, scaled: int) -> tuple[int, float | None]:
    """How torch resamples an axis from `length` to `scaled` pixels, but stops at `end`.

    Returns:
        The size and the scale to ask for. torch samples at steps of the inverse of a scale: one
        whose inverse is not `length / scaled` to the last bit would move pixels. It also takes
        equal lengths for an axis on which nothing is to be done, whatever the scale. In either
        case, all of the axis and no scale.
    """
    step = length / scaled
    scale = 1 / step
    return (end, scale) if end != length and 1 / scale == step else (scaled, None)


def _resample_plain(image: NDArray[np.uint8], size: Size, exact: bool) -> Pixels:
    """Without antialiasing, in float32; rounded where not exact, as Molmo2's processor rounds."""
    import torch
    from torch.nn.functional import interpolate

    # Contiguous channels, as published: the kernel for channels-last adds in another order, and a
    # half is rounded to the other side now and then.
    source = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 2, 0)))[None].float()
    scaled = interpolate(source, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    if exact:
        return np.ascontiguousarray((scaled / 255).clamp_(0, 1).numpy())
    return np.ascontiguousarray(scaled.round_().clamp_(0, 255).to(torch.uint8).numpy())


def _resample_visible(image: NDArray[np.uint8], placement: Placement, exact: bool) -> Pixels:
    """The visible part alone, for images so long that the rest would fill the memory."""
    top, left, bottom, right = placement.visible
    size = right - left, bottom - top
    y0, x0 = placement.from_canvas(top, left)
    y1, x1 = placement.from_canvas(bottom, right)
    box = max(x0, 0.0), max(y0, 0.0), min(x1, image.shape[1]), min(y1, image.shape[0])
    if not exact:
        return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box))
    channels = np.moveaxis(image.astype(np.float32) / 255, 2, 0)
    shown = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR, box))
        for channel in channels
    ]
    return np.stack(shown, axis=2).clip(0, 1)
