"""A picture of how an image was tiled: what each crop gets, what is cut away, what is padding.

In: an image, its tiling and how it was resized. Out: RGB pixels to look at. Knows nothing about
answers or loggers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tierexp.imaging.resize import ResizeMode, place
from tierexp.tiers.geometry import CropGeometry, Tiling

_PADDING = (70, 70, 80)
_STRIPE = (100, 100, 112)
_LINE = (255, 60, 60)
_CUT_BRIGHTNESS = 0.3


def draw_tiling(
    image: NDArray[np.uint8],
    tiling: Tiling,
    mode: ResizeMode,
    geometry: CropGeometry,
    max_side: int = 512,
    line_width: int = 2,
) -> NDArray[np.uint8]:
    """Draw the crop grid over an image.

    Red lines bound what each crop keeps of the canvas (`CropGeometry.kept_patches`). What filling
    cuts away is darkened, padding is striped grey.

    Args:
        image: (height, width, 3) uint8 RGB.
        tiling: (rows, cols) of crops.
        mode: How the image was brought to the canvas.
        geometry: Geometry of the crops.
        max_side: Longest side of the drawing, in pixels.
        line_width: Width of the lines, in pixels.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = image.shape[:2]
    canvas_height, canvas_width = canvas_size = geometry.canvas_size(tiling)
    placement = place((height, width), canvas_size, mode)
    canvas_top, canvas_left = placement.from_canvas(0, 0)
    canvas_bottom, canvas_right = placement.from_canvas(canvas_height, canvas_width)
    top, left = min(0.0, canvas_top), min(0.0, canvas_left)
    bottom, right = max(float(height), canvas_bottom), max(float(width), canvas_right)
    scale = max_side / max(bottom - top, right - left)

    def drawn(y: float, x: float) -> tuple[int, int]:
        """A point (y, x) of the image as (x, y) of the drawing."""
        return round((x - left) * scale), round((y - top) * scale)

    size = tuple(max(1, side) for side in drawn(bottom, right))
    corner, end = drawn(0, 0), drawn(height, width)
    shown = max(1, end[0] - corner[0]), max(1, end[1] - corner[1])
    drawing = Image.new("RGB", size) if shown == size else _striped(size)
    drawing.paste(Image.fromarray(image).resize(shown), corner)

    inside = Image.new("L", drawing.size, 0)
    x0, y0 = drawn(canvas_top, canvas_left)
    x1, y1 = drawn(canvas_bottom, canvas_right)
    canvas_box = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))  # a sliver still is a line
    inside.paste(255, canvas_box)
    dark = drawing.point(lambda value: value * _CUT_BRIGHTNESS)
    drawing = Image.composite(drawing, dark, inside)

    pen = ImageDraw.Draw(drawing)
    for y in _boundaries(tiling[0], geometry):
        row = drawn(placement.from_canvas(y, 0)[0], 0)[1]
        pen.line([(canvas_box[0], row), (canvas_box[2] - 1, row)], _LINE, line_width)
    for x in _boundaries(tiling[1], geometry):
        column = drawn(0, placement.from_canvas(0, x)[1])[0]
        pen.line([(column, canvas_box[1]), (column, canvas_box[3] - 1)], _LINE, line_width)
    outline = (canvas_box[0], canvas_box[1], canvas_box[2] - 1, canvas_box[3] - 1)
    pen.rectangle(outline, outline=_LINE, width=line_width)
    return np.asarray(drawing)


def _boundaries(count: int, geometry: CropGeometry) -> list[int]:
    """Canvas pixels along one axis where the next of `count` crops takes over."""
    return [
        geometry.window_size * index + geometry.kept_patches(index, count)[0] * geometry.patch_size
        for index in range(1, count)
    ]


def _striped(size: tuple[int, ...]) -> Image.Image:
    width, height = size
    diagonal = np.add.outer(np.arange(height), np.arange(width)) // 6 % 2
    colours = np.array([_PADDING, _STRIPE], dtype=np.uint8)
    return Image.fromarray(colours[diagonal])
