"""Scenes to pixels.

In: a scene. Out: uint8 RGB. Nothing is random here: the same scene gives the same pixels in every
process. Characters are drawn with the scalable font inside Pillow (Aileron), so no font file of
the machine matters; its outlines are rasterised by the FreeType that Pillow brings, so pixels at
the edges of characters may differ in the last bits between Pillow releases, while scenes,
questions and answers never do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tierexp.data.tierqa.scene import Background, Box, Color, Kind, Plate, Rgb, Scene

PALETTE: dict[Color, Rgb] = {
    "red": (208, 38, 44),
    "orange": (245, 132, 28),
    "yellow": (252, 214, 40),
    "green": (20, 122, 58),
    "cyan": (64, 202, 222),
    "blue": (34, 84, 204),
    "purple": (126, 58, 176),
    "pink": (246, 146, 194),
}
DARK_TEXT: Rgb = (22, 22, 28)
LIGHT_TEXT: Rgb = (252, 252, 250)

_TEXTURE_CELLS = 12
_TEXTURE_CONTRAST = 4
_SUPERSAMPLING = 4
_STRIP = 8
"""Rows of a background that are enlarged at once: few enough to stay in the processor's cache, and
for numpy not to share them out among threads."""
# Of the font, in ems: the strokes' extra weight, and the ink's extent above and below the
# baseline with it (round characters overshoot the line a little).
_STROKE = 0.035
_ASCENT = 0.704 + _STROKE
_DESCENT = 0.015 + _STROKE


def render(scene: Scene) -> NDArray[np.uint8]:
    """Draw a scene.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    canvas = _background(scene.background, scene.height, scene.width)
    for shape in scene.shapes:
        with _part(canvas, shape.box) as part:
            part.paste(PALETTE[shape.color], (0, 0), _shape_mask(shape.kind, part.width))
    for plate in scene.plates:
        with _part(canvas, plate.box) as part:
            _draw_plate(part, plate)
    return canvas


@contextmanager
def _part(canvas: NDArray[np.uint8], box: Box) -> Iterator[Image.Image]:
    """What a box shows, to draw on: all of the canvas would be copied to Pillow and back."""
    x0, y0, x1, y1 = _whole(box)
    shown = canvas[y0:y1, x0:x1]
    part = Image.fromarray(shown)
    yield part
    shown[...] = np.asarray(part)


def text_color(color: Color) -> Rgb:
    """The colour of the code on a plate: the one with more contrast (WCAG 2 luminance)."""
    luminance = _luminance(PALETTE[color])
    on_light = (luminance + 0.05) / (_luminance(DARK_TEXT) + 0.05)
    on_dark = (_luminance(LIGHT_TEXT) + 0.05) / (luminance + 0.05)
    return DARK_TEXT if on_light > on_dark else LIGHT_TEXT


def _luminance(rgb: Rgb) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _background(background: Background, height: int, width: int) -> NDArray[np.uint8]:
    """Gradient and texture on a coarse grid, enlarged by Pillow's bicubic filter."""
    rows = max(2, round(_TEXTURE_CELLS * height / max(height, width)))
    cols = max(2, round(_TEXTURE_CELLS * width / max(height, width)))
    rng = Random(background.texture_seed)
    down = np.linspace(1, 0, rows) if background.rising else np.linspace(0, 1, rows)
    share = (down[:, None] + np.linspace(0, 1, cols)) / 2  # (rows, cols)
    start, stop = np.array(background.start), np.array(background.stop)
    colors = start + share[..., None] * (stop - start)  # (rows, cols, 3)
    noise = np.array([rng.uniform(-1, 1) for _ in range(rows * cols)]).reshape(rows, cols, 1)
    grid = np.clip(np.rint(colors + _TEXTURE_CONTRAST * noise), 0, 255).astype(np.uint8)
    wide = Image.fromarray(grid).resize((width, rows), Image.Resampling.BICUBIC)
    return taller(np.asarray(wide), height)


def taller(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """The second half of Pillow's bicubic resizing, pixel by pixel the same, in a third of the
    time: its weights are whole multiples of 2^-22, so that their sums of products are exact in
    float64, and a matrix product can be asked for them.

    Args:
        image: (rows, width, 3) uint8.
        height: Rows of the result, at least as many.
    """
    rows, width, channels = image.shape
    weights = np.hstack([_bicubic(rows, height), np.full((height, 1), 0.5)])  # and a half, to round
    pixels = np.ones((rows + 1, width * channels))
    pixels[:rows] = image.reshape(rows, -1)
    found = np.empty((height, width * channels), np.uint8)
    # No more than an eighth of what is between the extremes is added to them.
    least, most = int(image.min()), int(image.max())
    within = least >= (most - least) / 8 and most + (most - least) / 8 < 255
    for first in range(0, height, _STRIP):
        strip = weights[first : first + _STRIP] @ pixels
        if not within:
            np.clip(strip, 0, 255, out=strip)
        found[first : first + _STRIP] = strip
    return found.reshape(height, width, channels)


def _bicubic(rows: int, height: int) -> NDArray[np.float64]:
    """(height, rows): what each row counts in each of the larger image."""
    middle = (np.arange(height)[:, None] + 0.5) * (rows / height)
    distance = np.abs(np.arange(rows) - middle + 0.5)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    rounded: NDArray[np.float64] = np.trunc(weights * 2**22 + np.copysign(0.5, weights)) / 2**22
    return rounded


def _draw_plate(part: Image.Image, plate: Plate) -> None:
    """Draw a plate on what its box shows."""
    x0, y0, x1, y1 = _whole(plate.box)
    letter_height = round(plate.glyphs[0].box[3] - plate.glyphs[0].box[1])
    color, ink = PALETTE[plate.color], text_color(plate.color)
    rim = max(1, round(0.07 * letter_height))
    radius = round(0.35 * letter_height)
    shaded = tuple(round(0.72 * channel) for channel in color)
    part.paste(shaded, (0, 0), _rounded_mask(y1 - y0, x1 - x0, radius))
    inner = _rounded_mask(y1 - y0 - 2 * rim, x1 - x0 - 2 * rim, max(1, radius - rim))
    part.paste(color, (rim, rim), inner)
    for glyph in plate.glyphs:
        left, top, right, bottom = _whole(glyph.box)
        mask = _glyph_mask(glyph.char, bottom - top, right - left)
        part.paste(ink, (left - x0, top - y0), mask)


def _whole(box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(side) for side in box)
    return x0, y0, x1, y1


@lru_cache(maxsize=4096)
def _glyph_mask(char: str, height: int, width: int) -> Image.Image:
    """Coverage of a cell by a character, mode L."""
    em = height / (_ASCENT + _DESCENT)
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).text(
        (width / 2, height * _ASCENT / (_ASCENT + _DESCENT)),
        char,
        fill=255,
        font=_font(em),
        anchor="ms",
        stroke_width=_STROKE * em,
    )
    return mask


@lru_cache(maxsize=512)
def _font(em: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(em)


def _rounded_mask(height: int, width: int, radius: int) -> Image.Image:
    """Coverage of a box by a rounded rectangle that fills it, mode L: only the corners need
    smoothing.
    """
    mask = Image.new("L", (width, height), 255)
    for x, from_left in ((0, True), (width - radius, False)):
        for y, from_top in ((0, True), (height - radius, False)):
            mask.paste(_corner(radius, from_left, from_top), (x, y))
    return mask


@lru_cache(maxsize=512)
def _corner(radius: int, from_left: bool, from_top: bool) -> Image.Image:
    """A quarter of a disc, mode L."""
    side = radius * _SUPERSAMPLING
    disc = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(disc).ellipse((0, 0, 2 * side - 1, 2 * side - 1), fill=255)
    left, top = 0 if from_left else radius, 0 if from_top else radius
    return disc.reduce(_SUPERSAMPLING).crop((left, top, left + radius, top + radius))


def _shape_mask(kind: Kind, side: int) -> Image.Image:
    """Coverage of a square box by a shape, mode L."""
    large = side * _SUPERSAMPLING
    mask = Image.new("L", (large, large))
    draw = ImageDraw.Draw(mask)
    if kind == "circle":
        draw.ellipse((0, 0, large - 1, large - 1), fill=255)
    else:
        draw.polygon([(x * (large - 1), y * (large - 1)) for x, y in _OUTLINES[kind]], fill=255)
    return mask.reduce(_SUPERSAMPLING)


def _star() -> tuple[tuple[float, float], ...]:
    """A five-pointed star, stretched to its box."""
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radii = np.where(np.arange(10) % 2, 0.45, 1.0)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)  # (10, 2)
    points = (points - points.min(0)) / np.ptp(points, axis=0)
    return tuple((float(x), float(y)) for x, y in points)


_OUTLINES: dict[Kind, tuple[tuple[float, float], ...]] = {
    "square": ((0, 0), (1, 0), (1, 1), (0, 1)),
    "triangle": ((0.5, 0), (1, 1), (0, 1)),
    "star": _star(),
    "diamond": ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
    "cross": (
        *((0.34, 0), (0.66, 0), (0.66, 0.34), (1, 0.34), (1, 0.66), (0.66, 0.66)),
        *((0.66, 1), (0.34, 1), (0.34, 0.66), (0, 0.66), (0, 0.34), (0.34, 0.34)),
    ),
}
