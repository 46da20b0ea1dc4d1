"""What every vision token of a training image should know: supervision in place.

In: a scene, whose objects and letters have exact boxes, and where its image lies on canvas and
global view. Out: a class per token and per head. A model this small learns to see from these in
minutes; from the answers alone it would take days. Evaluation never reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.data.tierqa.scene import ALPHABET, CODE_LENGTHS, COLORS, KINDS, Box, Scene, center
from tierexp.geometry import CropGeometry, Tiling
from tierexp.imaging.resize import Placement
from tierexp.training.packing import IGNORED

_SLOTS = CODE_LENGTHS[1]
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
    DenseHead("center", 2),
    # What a character is can be seen in place, which of its code it is only from the others:
    # asked apart as well, both are learned far sooner than their product below.
    DenseHead("character", 1 + len(ALPHABET)),
    DenseHead("slot", 1 + _SLOTS),
    *(DenseHead(f"character_{slot}", 1 + len(ALPHABET)) for slot in range(_SLOTS)),
)
_COLOR, _KIND, _CENTER, _CHARACTER, _SLOT, _FIRST_CHARACTER = range(6)
_PLATE_KIND = 1


def dense_targets(
    scene: Scene,
    placement: Placement,
    global_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
) -> NDArray[np.int64]:
    """The classes of every vision token of every crop, the global view first.

    Args:
        scene: What the image shows.
        placement: Where it lies on the canvas.
        global_placement: Where it lies on the global view.
        tiling: (rows, cols) of crops.
        geometry: Of the crops; its windows must be whole numbers of tokens.

    Returns:
        (N + 1, K, len(HEADS)) int64, -100 where a token is not asked.
    """
    grid = geometry.token_grid
    view = _token_classes(scene, global_placement, grid, geometry)[None]
    step = geometry.window_patches // geometry.pooling[0]
    rows, cols = tiling
    overall = (step * (rows - 1) + grid[0], step * (cols - 1) + grid[1])
    canvas = _token_classes(scene, placement, overall, geometry)
    crops = [
        canvas[step * r : step * r + grid[0], step * c : step * c + grid[1]]
        for r in range(rows)
        for c in range(cols)
    ]
    return np.concatenate([view, np.stack(crops)]).reshape(
        rows * cols + 1, geometry.tokens_per_crop, len(HEADS)
    )


def _token_classes(
    scene: Scene, placement: Placement, grid: tuple[int, int], geometry: CropGeometry
) -> NDArray[np.int64]:
    """(rows, cols, len(HEADS)) of one canvas."""
    targets = np.zeros((*grid, len(HEADS)), np.int64)
    token = geometry.patch_size * geometry.pooling[0]

    def mark(box: Box, heads: dict[int, int]) -> None:
        (x0, y0, x1, y1) = box
        top, left = placement.to_canvas(y0, x0)
        bottom, right = placement.to_canvas(y1, x1)
        down = _overlaps(top, bottom, grid[0], token)
        across = _overlaps(left, right, grid[1], token)
        area = max((bottom - top) * (right - left), 1e-9)
        share = np.outer(down, across) / min(area, float(token * token))
        for head, value in heads.items():
            plane = targets[..., head]
            plane[(share > _MAYBE) & (share < _SURE)] = IGNORED
            plane[share >= _SURE] = value

    for plate in scene.plates:
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
            )
    for shape in scene.shapes:
        color = 1 + COLORS.index(shape.color)
        mark(shape.box, {_COLOR: color, _KIND: _PLATE_KIND + 1 + KINDS.index(shape.kind)})
    for box in [plate.box for plate in scene.plates] + [shape.box for shape in scene.shapes]:
        x, y = center(box)
        y, x = placement.to_canvas(y, x)
        row, col = int(y // token), int(x // token)
        if 0 <= row < grid[0] and 0 <= col < grid[1]:
            targets[row, col, _CENTER] = 1
    return targets


def _overlaps(start: float, stop: float, count: int, token: int) -> NDArray[np.float64]:
    """(count,) pixels that each token shares with [start, stop) along one axis."""
    first = np.arange(count) * token
    shared = np.minimum(first + token, stop) - np.maximum(first, start)
    overlaps: NDArray[np.float64] = np.maximum(shared, 0.0)
    return overlaps
