"""What every vision token of a training image should know: supervision in place.

In: a scene, whose objects and letters have exact boxes, and where its image lies on canvas and
global view. Out: a class per token and per head. A model this small learns to see from these in
minutes; from the answers alone it would take days. Evaluation never reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.data.tierqa.scene import ALPHABET, CODE_LENGTHS, COLORS, KINDS, Box, Scene
from tierexp.training.grounding import Grounding, TokenCanvas, beginning_of
from tierexp.training.packing import IGNORED

_SLOTS = CODE_LENGTHS[1]
_PLACES = 12
"""Rows and columns a crop is divided into where an object's place is asked."""
_SIZES, _SMALLEST, _SIZE_STEP = 12, 7.0, 1.3
"""Sizes that are told apart, the first one's side in pixels, and the ratio of one to the next."""
_CENTER_STEPS = 4
"""Steps of a centre's share that are told apart."""
_SURE, _MAYBE = 0.6, 0.1
"""Shares of an object's or a token's area from which a token shows the object, and below which it
does not; in between a token is not asked."""


@dataclass(frozen=True)
class DenseHead:
    """One question to every vision token.

    Args:
        name: What is asked.
        classes: Number of answers; class 0 is "nothing of it here".
    """

    name: str
    classes: int


HEADS = (
    DenseHead("color", 1 + len(COLORS)),
    DenseHead("kind", 2 + len(KINDS)),
    # How near an object's centre is: see `TokenCanvas.center_shares`.
    DenseHead("center", 1 + _CENTER_STEPS),
    # Where in its crop an object is: all that a language model learns of it.
    DenseHead("row", 1 + _PLACES),
    DenseHead("column", 1 + _PLACES),
    # How large a shape is: what "the largest" is found by.
    DenseHead("size", 1 + _SIZES),
    # What a character is can be seen in place, which of its code it is only from the others:
    # asked apart as well, both are learned far sooner than their product below.
    DenseHead("character", 1 + len(ALPHABET)),
    DenseHead("slot", 1 + _SLOTS),
    *(DenseHead(f"character_{slot}", 1 + len(ALPHABET)) for slot in range(_SLOTS)),
)
_COLOR, _KIND, _CENTER, _ROW, _COLUMN, _SIZE, _CHARACTER, _SLOT, _FIRST_CHARACTER = range(9)
_PLATE_KIND = 1


def dense_targets(scene: Scene, grounding: Grounding) -> NDArray[np.int64]:
    """The classes of every vision token of every crop, the global view first.

    Args:
        scene: What the image shows.
        grounding: Where it is among the tokens.

    Returns:
        (N + 1, K, len(HEADS)) int64, -100 where a token is not asked.
    """
    return np.concatenate(
        [canvas_targets(scene, canvas) for canvas in (grounding.view, grounding.canvas)]
    )


def canvas_targets(scene: Scene, canvas: TokenCanvas) -> NDArray[np.int64]:
    """The classes of the vision tokens of a canvas's crops.

    Args:
        scene: What the image shows.
        canvas: Where it lies.

    Returns:
        (N, K, len(HEADS)) int64, -100 where a token is not asked.
    """
    classes, owners = _token_classes(scene, canvas)
    by_crop = canvas.cut(classes)
    _forget_slots(by_crop, canvas.cut(owners), scene, canvas)
    somewhere = by_crop[..., _KIND] > 0
    rows, cols = (1 + _PLACES * np.arange(n) // n for n in canvas.geometry.token_grid)
    by_crop[..., _ROW] = np.where(somewhere, rows[:, None], 0)
    by_crop[..., _COLUMN] = np.where(somewhere, cols, 0)
    return by_crop.reshape(len(by_crop), -1, len(HEADS))


def _forget_slots(
    by_crop: NDArray[np.int64], owners: NDArray[np.int64], scene: Scene, canvas: TokenCanvas
) -> None:
    """Take the place in its code from every character, in place, whose crop does not show where
    the code begins: it could be any, so there is none to be read off.
    """
    for number, plate in enumerate(scene.plates):
        begins = canvas.shows_whole(beginning_of(plate.box, plate.glyphs[0].box))
        forgotten = (owners == number) & ~begins[:, None, None]
        by_crop[forgotten, _SLOT:] = 0  # the heads from here on all ask for the place


def _token_classes(
    scene: Scene, canvas: TokenCanvas
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets of the whole canvas: (rows, cols, len(HEADS)) classes, and (rows, cols) the number of
    the plate whose character a token shows, -1 where it shows none.
    """
    targets = np.zeros((*canvas.grid, len(HEADS)), np.int64)
    owners = np.full(canvas.grid, -1, np.int64)

    def mark(box: Box, heads: dict[int, int], owner: int | None = None) -> None:
        share = canvas.shares(box)
        if owner is not None:
            owners[share > _MAYBE] = owner
        for head, value in heads.items():
            plane = targets[..., head]
            plane[(share > _MAYBE) & (share < _SURE)] = IGNORED
            plane[share >= _SURE] = value

    for number, plate in enumerate(scene.plates):
        color = 1 + COLORS.index(plate.color)
        mark(plate.box, {_COLOR: color, _KIND: _PLATE_KIND})
        for glyph in plate.glyphs:
            character = 1 + ALPHABET.index(glyph.char)
            mark(
                glyph.box,
                {
                    _CHARACTER: character,
                    _SLOT: 1 + glyph.slot,
                    _FIRST_CHARACTER + glyph.slot: character,
                },
                number,
            )
    for shape in scene.shapes:
        color = 1 + COLORS.index(shape.color)
        kind = _PLATE_KIND + 1 + KINDS.index(shape.kind)
        mark(shape.box, {_COLOR: color, _KIND: kind, _SIZE: 1 + _size(shape.box, canvas)})
    for box in [plate.box for plate in scene.plates] + [shape.box for shape in scene.shapes]:
        shares = canvas.center_shares(box)
        steps = np.rint(_CENTER_STEPS * shares).astype(np.int64)
        targets[..., _CENTER] = np.maximum(targets[..., _CENTER], steps)
    return targets, owners


def _size(box: Box, canvas: TokenCanvas) -> int:
    """The number of a shape's size, from 0."""
    (top, left), (bottom, right) = canvas.corners(box)
    side = math.sqrt((bottom - top) * (right - left))
    return min(_SIZES - 1, max(0, int(math.log(side / _SMALLEST, _SIZE_STEP))))
