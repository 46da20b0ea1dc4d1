"""Scenes from (split, index), the same everywhere and for ever.

Every scene has a random stream of its own, seeded with a hash of the version, the split and the
index: nothing depends on order, on worker processes or on how many scenes are made, and no two
splits share a scene. The streams are Python's Mersenne Twister, whose output is the same on every
platform. A change of what is generated is a new `VERSION`.
"""

from __future__ import annotations

import hashlib
import math
from random import Random

from tierexp.data.tierqa.layout import Layout
from tierexp.data.tierqa.questions import MOST_OF_A_KIND, READ_PER_PICTURE, answerable
from tierexp.data.tierqa.scene import (
    ALPHABET,
    CODE_LENGTHS,
    COLORS,
    KINDS,
    Background,
    Color,
    Glyph,
    Plate,
    Scene,
    Shape,
)
from tierexp.data.tierqa.sizes import draw_size, log_uniform

VERSION = 5

LETTER_HEIGHTS = (0.008, 0.024)
"""Letter height as a share of sqrt(height x width): from legible only in many vision tokens to
legible in any."""
MIN_LETTER_HEIGHT = 8
"""Pixels of the picture itself; below this it would not carry the character."""
PITCH = 0.95
"""Cell width of a character, in letter heights."""
MARGINS = (0.40, 0.45)
"""Margins of a plate around its code, (vertical, horizontal), in letter heights."""

SHAPE_SIDES = (0.018, 0.09)
"""Side of a shape as a share of sqrt(height x width)."""
MIN_SHAPE_SIDE = 8
GAP = 0.015
MAX_SHAPES = 8
"""How many there are of all kinds together."""

MAX_PLATES = 6
"""The fewest are as many as are asked about."""

ICON_SIDE = 240
"""Below this longer side a picture holds fewer objects."""
FEW_PLATES, FEW_SHAPES = READ_PER_PICTURE, 5


def stream(split: str, index: int, purpose: str) -> Random:
    """The random stream of one purpose ("size", "scene", "questions") of one picture."""
    name = f"tierqa/{VERSION}/{split}/{index}/{purpose}"
    return Random(int.from_bytes(hashlib.sha256(name.encode()).digest()))


def scene_size(split: str, index: int) -> tuple[int, int]:
    """(height, width) in pixels of a scene, without making it."""
    return draw_size(stream(split, index, "size"))


def generate_scene(split: str, index: int) -> Scene:
    """The scene of a picture; all five tasks can be asked about it.

    Args:
        split: Any name; splits share no scene.
        index: Any whole number from 0.
    """
    height, width = scene_size(split, index)
    rng = stream(split, index, "scene")
    while True:
        scene = _draw_scene(rng, height, width)
        if scene is not None and answerable(scene):
            return scene


def _draw_scene(rng: Random, height: int, width: int) -> Scene | None:
    """One attempt; None if an object found no place."""
    unit = math.sqrt(height * width)
    icon = max(height, width) < ICON_SIDE
    layout = Layout(height, width, max(2, round(GAP * unit)))
    plates = _draw_plates(
        rng,
        layout,
        height,
        width,
        rng.randint(READ_PER_PICTURE, FEW_PLATES if icon else MAX_PLATES),
    )
    shapes = _draw_shapes(rng, layout, unit, FEW_SHAPES if icon else MAX_SHAPES)
    if plates is None or shapes is None:
        return None
    return Scene(height, width, draw_background(rng), plates, shapes)


def _draw_plates(
    rng: Random, layout: Layout, height: int, width: int, count: int
) -> tuple[Plate, ...] | None:
    unit = math.sqrt(height * width)
    low = max(MIN_LETTER_HEIGHT, LETTER_HEIGHTS[0] * unit)
    high = max(LETTER_HEIGHTS[1] * unit, 1.5 * low)
    drawn = []
    for color in rng.sample(COLORS, count):
        text = draw_code(rng)
        widest = 0.85 * width / (PITCH * len(text) + 2 * MARGINS[1])
        letter_height = min(log_uniform(rng, low, high), widest)
        drawn.append((max(MIN_LETTER_HEIGHT, round(letter_height)), color, text))
    # The largest plate is placed first, while there is room for it.
    drawn.sort(key=lambda plate: -plate[0] * len(plate[2]))
    plates = [place_plate(rng, layout, *plate) for plate in drawn]
    placed = tuple(plate for plate in plates if plate is not None)
    return placed if len(placed) == count else None


def draw_code(rng: Random) -> str:
    """The text of a plate."""
    return "".join(rng.choices(ALPHABET, k=rng.randint(*CODE_LENGTHS)))


def place_plate(
    rng: Random, layout: Layout, letter_height: int, color: Color, text: str
) -> Plate | None:
    """A plate with letters of that many pixels, at a free place; None if there is none left."""
    pitch = math.ceil(PITCH * letter_height)
    top, left = (max(2, round(margin * letter_height)) for margin in MARGINS)
    box = layout.place(rng, letter_height + 2 * top, pitch * len(text) + 2 * left)
    if box is None:
        return None
    glyphs = []
    for slot, char in enumerate(text):
        x, y = box[0] + left + slot * pitch, box[1] + top
        glyphs.append(Glyph(char, slot, (x, y, x + pitch, y + letter_height)))
    return Plate(color, box, text, tuple(glyphs))


def _draw_shapes(rng: Random, layout: Layout, unit: float, most: int) -> tuple[Shape, ...] | None:
    """1 to `most` shapes: a uniform number of one kind, and some of the other kinds."""
    focus = rng.choice(KINDS)
    repeated = rng.randint(0, MOST_OF_A_KIND)
    others = rng.randint(0 if repeated else 1, most - repeated)
    kinds = [focus] * repeated
    kinds += rng.sample([kind for kind in KINDS if kind != focus] * MOST_OF_A_KIND, others)
    low = max(MIN_SHAPE_SIDE, SHAPE_SIDES[0] * unit)
    high = max(SHAPE_SIDES[1] * unit, 1.5 * low)
    sides = sorted((round(log_uniform(rng, low, high)) for _ in kinds), reverse=True)
    rng.shuffle(kinds)
    shapes = []
    for kind, side in zip(kinds, sides, strict=True):
        box = layout.place(rng, side, side)
        if box is None:
            return None
        shapes.append(Shape(kind, rng.choice(COLORS), box))
    return tuple(shapes)


def draw_background(rng: Random) -> Background:
    """Pale or dark, nearly grey, so that every colour of an object stands out."""
    low, high = (196, 244) if rng.random() < 0.7 else (26, 64)

    def shade() -> tuple[int, int, int]:
        level = rng.randint(low, high)
        red, green, blue = (min(255, max(0, level + rng.randint(-8, 8))) for _ in range(3))
        return red, green, blue

    return Background(shade(), shade(), rng.random() < 0.5, rng.getrandbits(32))
