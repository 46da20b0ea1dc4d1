"""Pictures crowded with signs and shapes, for teaching the vision part to see.

In: a random stream. Out: a scene with up to ten times the objects of a tierqa scene, in the same
looks and at every apparent size. Nothing is asked about it: colours repeat, so no question would
have one answer. Its crop teaches as much as ten of the benchmark's.
"""

from __future__ import annotations

from random import Random

from tierexp.data.tierqa.generator import (
    MIN_LETTER_HEIGHT,
    MIN_SHAPE_SIDE,
    draw_background,
    draw_code,
    place_plate,
)
from tierexp.data.tierqa.layout import Layout
from tierexp.data.tierqa.scene import COLORS, KINDS, Scene, Shape
from tierexp.data.tierqa.sizes import log_uniform

_SCALES = (0.27, 1.7)
"""Crop pixels per picture pixel: how much resampling has blurred what a crop shows."""
_ASPECTS = (0.75, 1.35)
"""Width / height. A crop is filled, so it cuts the objects at two sides, as crops do."""
_SPARSE = (0.1, 1.0)
"""The fraction of the objects that there could be, in every other scene: the benchmark's crops are
mostly empty."""
_LETTER_HEIGHTS = (7.5, 30.0)
"""Typical letter height of a scene, in pixels of the crop."""
_SPREAD = 1.6
"""Letters of a scene are up to this much larger or smaller."""
_SHAPE_SIDES = (6.0, 90.0)
"""Sides of shapes, in pixels of the crop; more where a picture's smallest is magnified."""
_PLATES, _SHAPES, _TRIES = 36, 10, 12


def crowded_scene(rng: Random, crop_size: int) -> Scene:
    """A scene that fills one crop.

    Args:
        rng: Everything is drawn from it.
        crop_size: Side of the crop it will be resized to fill, in pixels.
    """
    scale = log_uniform(rng, *_SCALES)
    aspect = log_uniform(rng, *_ASPECTS)
    height = round(crop_size / scale * max(1, 1 / aspect))
    width = round(crop_size / scale * max(1, aspect))
    share = log_uniform(rng, *_SPARSE) if rng.random() < 0.5 else 1.0
    layout = Layout(height, width, gap=max(2, round(4 / scale)), tries=_TRIES)
    typical = log_uniform(rng, *_LETTER_HEIGHTS) / scale

    def size() -> int:
        return max(MIN_LETTER_HEIGHT, round(log_uniform(rng, typical / _SPREAD, typical * _SPREAD)))

    codes = [(size(), draw_code(rng)) for _ in range(round(share * _PLATES))]
    codes.sort(key=lambda code: -code[0])
    placed = [
        place_plate(rng, layout, letters, rng.choice(COLORS), text) for letters, text in codes
    ]
    shapes = round(share * _SHAPES)
    sides = sorted(
        max(MIN_SHAPE_SIDE, round(log_uniform(rng, *_SHAPE_SIDES) / scale)) for _ in range(shapes)
    )
    boxes = [layout.place(rng, side, side) for side in reversed(sides)]
    return Scene(
        height,
        width,
        draw_background(rng),
        tuple(plate for plate in placed if plate),
        tuple(Shape(rng.choice(KINDS), rng.choice(COLORS), box) for box in boxes if box),
    )
