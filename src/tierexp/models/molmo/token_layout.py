"""The token sequence of an image and its question.

In: a tiling, the ids of the image's special tokens, and the ids of the prompt. Out: what the
language model reads, and where in it every vision token belongs. Follows Molmo and Molmo2: the
global view, where the geometry has it, and the whole canvas row by row, in which every patch
appears once. Knows no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tierexp.tiers.geometry import CropGeometry, Tiling

DROPPED = -100
"""The position of a vision token that the language model does not receive."""


class ImageTokens(Protocol):
    """Ids of the special tokens around an image."""

    @property
    def im_start(self) -> int:
        """Opens the canvas's grid of patches."""

    @property
    def view_start(self) -> int:
        """Opens the global view's."""

    @property
    def im_end(self) -> int:
        """Closes either."""

    @property
    def im_patch(self) -> int:
        """Stands where a vision token is added."""

    @property
    def im_col(self) -> int | None:
        """Ends a row of the canvas; None where nothing does."""

    @property
    def view_col(self) -> int | None:
        """Ends a row of the global view; None where nothing does."""


@dataclass(frozen=True)
class TokenLayout:
    """The sequence of one sample, T tokens, for V views, crops and the global view, of K tokens
    each; or, where the canvas is pooled as a whole, of K patches each.

    Args:
        input_ids: (T,) int64.
        image_input_idx: (V, K) int64: positions in `input_ids`, `DROPPED` for tokens, or
            patches, of an overlap that a neighbouring crop already gives. Patches that are pooled
            into one token share its position. Read-only, as questions share it.
    """

    input_ids: NDArray[np.int64]
    image_input_idx: NDArray[np.int64]


def layout_tokens(
    tiling: Tiling,
    geometry: CropGeometry,
    image_tokens: ImageTokens,
    before_image: Sequence[int],
    prompt_ids: Sequence[int],
) -> TokenLayout:
    """Lay out a sample: what comes before the image, the global view, the canvas, the prompt.

    Args:
        tiling: (rows, cols) of crops.
        geometry: Overlap and pooling.
        image_tokens: Ids of the image's special tokens.
        before_image: Ids that begin every sequence.
        prompt_ids: The question, tokenized.
    """
    ids = _Ids(
        image_tokens.view_start, image_tokens.im_start, image_tokens.im_patch,
        image_tokens.view_col, image_tokens.im_col, image_tokens.im_end,
    )  # fmt: skip
    image, places = _image(tiling, geometry, ids, tuple(before_image))
    return TokenLayout(np.concatenate([image, np.array(prompt_ids, np.int64)]), places)


class _Ids(NamedTuple):
    """Ids of `ImageTokens`, as what a layout is known by."""

    view_start: int
    im_start: int
    im_patch: int
    view_col: int | None
    im_col: int | None
    im_end: int


# Questions about images of one tiling share it, which was a quarter of what preparing them took.
@lru_cache(maxsize=1024)
def _image(
    tiling: Tiling, geometry: CropGeometry, tokens: _Ids, before: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids of an image and of what comes before it, and `TokenLayout.image_input_idx`."""
    end = tokens.im_end
    grid, canvas = geometry.token_grid, geometry.llm_grid(tiling)
    view_ids, view_at = _grid(grid, tokens.view_start, tokens.im_patch, tokens.view_col, end)
    canvas_ids, canvas_at = _grid(canvas, tokens.im_start, tokens.im_patch, tokens.im_col, end)
    ids = [np.array(before, np.int64)]
    positions: list[NDArray[np.int64]] = []
    placed = len(before)
    grids = (view_ids, view_at, (1, 1)), (canvas_ids, canvas_at, tiling)
    for grid_ids, at, of in geometry.in_order(grids[0], grids[1:]):
        ids.append(grid_ids)
        positions.append(_crop_positions(of, at + placed, geometry))
        placed += len(grid_ids)
    places = np.concatenate(positions)
    places.flags.writeable = False
    return np.concatenate(ids), places


def _grid(
    grid: tuple[int, int], start: int, patch: int, row_end: int | None, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids of a grid of vision tokens, and the (rows, cols) places of the tokens in them."""
    rows, cols = grid
    length = cols if row_end is None else cols + 1
    ids = np.full((rows, length), patch, np.int64)
    if row_end is not None:
        ids[:, -1] = row_end
    places = 1 + np.arange(rows)[:, None] * length + np.arange(cols)
    return np.concatenate([[start], ids.ravel(), [end]]), places


def _crop_positions(
    tiling: Tiling, positions: NDArray[np.int64], geometry: CropGeometry
) -> NDArray[np.int64]:
    """(rows * cols, K): where the tokens, or patches, of each crop go, from the positions (h, w)
    of the canvas's tokens.
    """
    rows = geometry.token_places(tiling[0], 0)
    cols = geometry.token_places(tiling[1], 1)
    down, across = rows[:, None, :, None], cols[None, :, None, :]  # (rows, cols, h, w)
    kept = (down >= 0) & (across >= 0)
    return np.where(kept, positions[down, across], DROPPED).reshape(tiling[0] * tiling[1], -1)
