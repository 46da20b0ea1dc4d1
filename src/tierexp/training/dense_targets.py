"""What every vision token of a training image should know: supervision in place.

In: a scene, whose objects and letters have exact boxes, and where its image lies on canvas and
global view. Out: a class per token and per head. A model this small learns to see from these in
minutes; from the answers alone it would take days. Evaluation never reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.data.tierqa.scene import ALPHABET, CODE_LENGTHS, COLORS, KINDS, Box, Scene, center
from tierexp.geometry import CropGeometry, Tiling
from tierexp.imaging.resize import Placement
from tierexp.training.packing import IGNORED

_SLOTS = CODE_LENGTHS[1]
_PLACES = 12
"""Rows and columns a crop is divided into where an object's place is asked."""
_SIZES, _SMALLEST, _SIZE_STEP = 12, 7.0, 1.3
"""Sizes that are told apart, the first one's side in pixels, and the ratio of one to the next."""
_CENTER_STEPS = 4
"""Steps of a centre's share that are told apart."""
_LEGIBLE = 10.0
"""Letter height in pixels from which the global view is as good to read from as the crops."""
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
    # How near an object's centre is: see `center_shares`.
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
    canvas = _token_classes(scene, placement, _canvas_grid(tiling, geometry), geometry)
    by_crop = _cut(canvas, tiling, geometry)
    _forget_slots(by_crop, scene, placement, _windows(tiling, geometry), geometry)
    crops = _with_places(by_crop, geometry)
    return np.concatenate([view_targets(scene, global_placement, geometry), crops])


def view_targets(scene: Scene, placement: Placement, geometry: CropGeometry) -> NDArray[np.int64]:
    """The classes of the vision tokens of one crop that shows a whole image.

    Args:
        scene: As in `dense_targets`.
        placement: Where the image lies on the crop.
        geometry: As in `dense_targets`.

    Returns:
        (1, K, len(HEADS)) int64, -100 where a token is not asked.
    """
    classes = _token_classes(scene, placement, geometry.token_grid, geometry)[None]
    _forget_slots(classes, scene, placement, _windows((1, 1), geometry), geometry)
    return _with_places(classes, geometry)


def _windows(tiling: Tiling, geometry: CropGeometry) -> NDArray[np.int64]:
    """(N, 2): the corners (top, left) of crops on their canvas, in tokens."""
    step = geometry.window_patches // geometry.pooling[0]
    rows, cols = tiling
    return np.array([(step * r, step * c) for r in range(rows) for c in range(cols)])


def _forget_slots(
    by_crop: NDArray[np.int64],
    scene: Scene,
    placement: Placement,
    windows: NDArray[np.int64],
    geometry: CropGeometry,
) -> None:
    """Take the place in its code from every character, in place, whose crop does not show where
    the code begins: it could be any, so there is none to be read off.
    """
    token = geometry.patch_size * geometry.pooling[0]
    rows, cols = geometry.token_grid
    for plate in scene.plates:
        begins = _shows_whole(plate.glyphs[0].box, placement, windows, geometry)
        if begins.all():
            continue
        (y0, x0), (y1, x1) = (placement.to_canvas(y, x) for y, x in _corners(plate.box))
        for number in np.flatnonzero(~begins):
            (top, left), whole = windows[number], by_crop[number]
            down = _tokens_of(y0 / token - top, y1 / token - top, rows)
            across = _tokens_of(x0 / token - left, x1 / token - left, cols)
            for head in (_SLOT, *range(_FIRST_CHARACTER, len(HEADS))):
                whole[down, across, head] = 0


def _tokens_of(start: float, stop: float, count: int) -> slice:
    """The tokens that an interval meets, of `count` along one axis, in units of them."""
    return slice(max(0, math.floor(start)), max(0, min(count, math.floor(stop) + 1)))


def _corners(box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """(y, x) of the near and the far corner."""
    return (box[1], box[0]), (box[3], box[2])


def _shows_whole(
    box: Box, placement: Placement, windows: NDArray[np.int64], geometry: CropGeometry
) -> NDArray[np.bool_]:
    """(N,): which crops show all of a box but a tenth of its sides."""
    token = geometry.patch_size * geometry.pooling[0]
    near, far = (np.array(placement.to_canvas(y, x)) for y, x in _corners(box))
    spare = 0.1 * (far - near)
    starts = windows * token  # (N, 2)
    ends = starts + geometry.crop_size
    shown: NDArray[np.bool_] = ((starts <= near + spare) & (ends >= far - spare)).all(-1)
    return shown


def reads_from(
    first: Box,
    placement: Placement,
    global_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
) -> NDArray[np.bool_]:
    """Which views a code is to be read from: those that show where it begins, the global view only
    where its letters are legible or no crop does.

    Args:
        first: Box of the code's first character, on the picture.
        placement: As in `dense_targets`.
        global_placement: As in `dense_targets`.
        tiling: As in `dense_targets`.
        geometry: As in `dense_targets`.

    Returns:
        (N + 1,) bool, the global view first.
    """
    crops = _shows_whole(first, placement, _windows(tiling, geometry), geometry)
    legible = (first[3] - first[1]) * global_placement.scale[0] >= _LEGIBLE
    return np.concatenate([[legible or not crops.any()], crops])


def center_shares(
    box: Box, placement: Placement, tiling: Tiling, geometry: CropGeometry
) -> NDArray[np.float64]:
    """How near the centre of a box is to the middle of every token on the canvas: shares of the
    four tokens around it, bilinear, so that they change smoothly as it moves from one to the next.

    Args:
        box: On the picture.
        placement: As in `dense_targets`.
        tiling: As in `dense_targets`.
        geometry: As in `dense_targets`.

    Returns:
        (N, K) float64, which add up to 1 over the tokens of a centre that is on the canvas, where
        every token is counted once.
    """
    shares = _center_shares(box, placement, _canvas_grid(tiling, geometry), geometry)
    return _cut(shares, tiling, geometry).reshape(-1, geometry.tokens_per_crop)


def _center_shares(
    box: Box, placement: Placement, grid: tuple[int, int], geometry: CropGeometry
) -> NDArray[np.float64]:
    """(rows, cols) of one canvas; beyond its outermost tokens' middles they take the whole."""
    x, y = center(box)
    y, x = placement.to_canvas(y, x)
    token = geometry.patch_size * geometry.pooling[0]
    if not (0 <= y < grid[0] * token and 0 <= x < grid[1] * token):
        return np.zeros(grid)
    down, across = (
        np.maximum(0, 1 - np.abs(np.arange(count) - min(max(at / token - 0.5, 0), count - 1)))
        for at, count in ((y, grid[0]), (x, grid[1]))
    )
    shares: NDArray[np.float64] = np.outer(down, across)
    return shares


def _with_places(by_view: NDArray[np.int64], geometry: CropGeometry) -> NDArray[np.int64]:
    """(N, rows, cols, heads) with rows and columns filled in, to (N, K, heads)."""
    somewhere = by_view[..., _KIND] > 0
    rows, cols = (1 + _PLACES * np.arange(count) // count for count in geometry.token_grid)
    by_view[..., _ROW] = np.where(somewhere, rows[:, None], 0)
    by_view[..., _COLUMN] = np.where(somewhere, cols, 0)
    return by_view.reshape(len(by_view), geometry.tokens_per_crop, len(HEADS))


def shown_by(
    box: Box,
    placement: Placement,
    global_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
) -> NDArray[np.bool_]:
    """Which vision tokens show a box: at least half as much of it as the one that shows most
    on the same canvas.

    Args:
        box: On the picture.
        placement: As in `dense_targets`.
        global_placement: As in `dense_targets`.
        tiling: As in `dense_targets`.
        geometry: As in `dense_targets`.

    Returns:
        (N + 1, K) bool.
    """
    view = _shares(box, global_placement, geometry.token_grid, geometry)
    canvas = _shares(box, placement, _canvas_grid(tiling, geometry), geometry)
    shown = [(shares > 0) & (2 * shares >= shares.max()) for shares in (view, canvas)]
    by_view = np.concatenate([shown[0][None], _cut(shown[1], tiling, geometry)])
    return by_view.reshape(len(by_view), geometry.tokens_per_crop)


def _canvas_grid(tiling: Tiling, geometry: CropGeometry) -> tuple[int, int]:
    """(rows, cols) of tokens on the canvas."""
    step = geometry.window_patches // geometry.pooling[0]
    rows, cols = geometry.token_grid
    return step * (tiling[0] - 1) + rows, step * (tiling[1] - 1) + cols


def _cut(canvas: NDArray[Any], tiling: Tiling, geometry: CropGeometry) -> NDArray[Any]:
    """(rows, cols, ...) of the canvas's tokens to (N, rows, cols, ...) of its crops'."""
    step = geometry.window_patches // geometry.pooling[0]
    rows, cols = geometry.token_grid
    return np.stack(
        [
            canvas[step * r : step * r + rows, step * c : step * c + cols]
            for r in range(tiling[0])
            for c in range(tiling[1])
        ]
    )


def _token_classes(
    scene: Scene, placement: Placement, grid: tuple[int, int], geometry: CropGeometry
) -> NDArray[np.int64]:
    """(rows, cols, len(HEADS)) of one canvas."""
    targets = np.zeros((*grid, len(HEADS)), np.int64)

    def mark(box: Box, heads: dict[int, int]) -> None:
        share = _shares(box, placement, grid, geometry)
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
        kind = _PLATE_KIND + 1 + KINDS.index(shape.kind)
        mark(shape.box, {_COLOR: color, _KIND: kind, _SIZE: 1 + _size(shape.box, placement)})
    for box in [plate.box for plate in scene.plates] + [shape.box for shape in scene.shapes]:
        shares = _center_shares(box, placement, grid, geometry)
        steps = np.rint(_CENTER_STEPS * shares).astype(np.int64)
        targets[..., _CENTER] = np.maximum(targets[..., _CENTER], steps)
    return targets


def _size(box: Box, placement: Placement) -> int:
    """The number of a shape's size, from 0."""
    (top, left), (bottom, right) = (placement.to_canvas(y, x) for y, x in (box[1::-1], box[:1:-1]))
    side = math.sqrt((bottom - top) * (right - left))
    return min(_SIZES - 1, max(0, int(math.log(side / _SMALLEST, _SIZE_STEP))))


def _shares(
    box: Box, placement: Placement, grid: tuple[int, int], geometry: CropGeometry
) -> NDArray[np.float64]:
    """(rows, cols) of a canvas: the share of the box on a token, or of the token under the box,
    whichever is more.
    """
    x0, y0, x1, y1 = box
    top, left = placement.to_canvas(y0, x0)
    bottom, right = placement.to_canvas(y1, x1)
    token = geometry.patch_size * geometry.pooling[0]
    down = _overlaps(top, bottom, grid[0], token)
    across = _overlaps(left, right, grid[1], token)
    area = max((bottom - top) * (right - left), 1e-9)
    shares: NDArray[np.float64] = np.outer(down, across) / min(area, float(token * token))
    return shares


def _overlaps(start: float, stop: float, count: int, token: int) -> NDArray[np.float64]:
    """(count,) pixels that each token shares with [start, stop) along one axis."""
    first = np.arange(count) * token
    shared = np.minimum(first + token, stop) - np.maximum(first, start)
    overlaps: NDArray[np.float64] = np.maximum(shared, 0.0)
    return overlaps
