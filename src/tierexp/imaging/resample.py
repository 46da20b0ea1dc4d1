"""Resampling an image onto its canvas.

In: RGB pixels, and where they land. Out: the canvas, black where it is padding. Knows nothing about
crops or tokens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from tierexp.imaging.resize import Pixels, Placement, Size

_BILINEAR = torch.ops.aten._upsample_bilinear2d_aa
"""What `torch.nn.functional.interpolate` ends in, which takes a size or scales. This takes both,
and writes where it is told to."""

_MAX_CROPPED_AREA = 8
"""Up to this multiple of the visible area, resampling everything and cropping is faster than
Pillow's resampling of the visible box alone."""

_MAX_KEPT = 1.5
"""Up to this multiple of the visible area stays in memory, rather than being copied from."""


def resample(
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
        return _shown(image, placement, exact, antialias)
    shape = *placement.canvas_size, 3
    canvas: Pixels = np.empty(shape, np.float32) if exact else np.empty(shape, np.uint8)
    canvas[:top] = 0
    canvas[bottom:] = 0
    canvas[top:bottom, :left] = 0
    canvas[top:bottom, right:] = 0
    shown = canvas[top:bottom, left:right]
    # torch writes rows without gaps: only where none are padded is the canvas a place for them.
    if antialias and size == placement.scaled_size and shown.flags.c_contiguous:
        _resample_whole(image, size, (None, None), exact, out=shown)
    else:
        shown[...] = _shown(image, placement, exact, antialias)
    return canvas


def _shown(image: NDArray[np.uint8], placement: Placement, exact: bool, antialias: bool) -> Pixels:
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
    shown = scaled[y:end_y, x:end_x]
    # A view would keep all of it in memory for as long as there are crops.
    return shown.copy() if scaled.size > _MAX_KEPT * shown.size else shown


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
    if not image.flags.carray:
        image = np.require(image, requirements=["C", "W"])
    batch = _channels_last(image)
    if exact:
        batch = batch.float() / 255
    if out is None:
        result = _BILINEAR.default(batch, size, False, *scales)
    else:
        result = _channels_last(out)
        _BILINEAR.out(batch, size, False, *scales, out=result)
    if exact:
        result.clamp_(0, 1)
    pixels: Pixels = result.numpy()[0].transpose(1, 2, 0)
    return pixels


def _channels_last(pixels: Pixels) -> torch.Tensor:
    """(1, 3, H, W), the memory of (H, W, 3) contiguous pixels.

    With a leading axis of a proper stride, torch sees channels last: its uint8 kernel for that
    layout is twice as fast, and what it gives is (H, W, 3) in memory again.
    """
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
