"""What a generated picture shows, as plain data.

A scene is the whole truth about its picture: `render` draws it, `questions` asks about it, and
neither needs the other. Boxes are `(x0, y0, x1, y1)` in pixels of the picture, x to the right,
y downwards, the far sides exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Box = tuple[float, float, float, float]
Rgb = tuple[int, int, int]
Color = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"]
Kind = Literal["circle", "square", "triangle", "star", "diamond", "cross"]

COLORS: tuple[Color, ...] = get_args(Color)
KINDS: tuple[Kind, ...] = get_args(Kind)

ALPHABET = "0123456789ACEHJKLNPTXY"
"""Characters of codes: digits, and letters that resemble neither a digit nor one another."""

CODE_LENGTHS = (2, 4)
"""Fewest and most characters of a code."""


@dataclass(frozen=True)
class Glyph:
    """One character of a code.

    Args:
        char: A letter of `ALPHABET`.
        slot: Its position in the code, from 0.
        box: Its cell: as high as a letter, as wide as the pitch. All ink lies inside.
    """

    char: str
    slot: int
    box: Box


@dataclass(frozen=True)
class Plate:
    """A coloured sign with a code.

    Args:
        color: Unique among the plates of a scene.
        box: The sign, rim included.
        text: The code.
        glyphs: Its characters, left to right.
    """

    color: Color
    box: Box
    text: str
    glyphs: tuple[Glyph, ...]


@dataclass(frozen=True)
class Shape:
    """A coloured shape without a code; its box is square and touched on all four sides."""

    kind: Kind
    color: Color
    box: Box


@dataclass(frozen=True)
class Background:
    """A gradient between two colours with a faint texture.

    Args:
        start: Colour at the corner the gradient comes from.
        stop: Colour at the opposite corner.
        rising: Whether the gradient runs from the bottom left corner, not from the top left one.
        texture_seed: Seed of the texture.
    """

    start: Rgb
    stop: Rgb
    rising: bool
    texture_seed: int


@dataclass(frozen=True)
class Scene:
    """A picture of `height` x `width` pixels; plates and shapes do not overlap."""

    height: int
    width: int
    background: Background
    plates: tuple[Plate, ...]
    shapes: tuple[Shape, ...]


def center(box: Box) -> tuple[float, float]:
    """The middle of a box, (x, y)."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
