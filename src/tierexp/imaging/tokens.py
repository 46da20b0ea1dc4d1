"""The token sequence of an image and its question.

In: a tiling, the ids of the image's special tokens, and the ids of the prompt. Out: what the
language model reads, and where in it every vision token belongs. Follows Molmo: the global view
first, then the whole canvas row by row, in which every patch appears once. Knows no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierexp.geometry import CropGeometry, Tiling

DROPPED = -100
"""The position of a vision token that the language model does not receive."""


class ImageTokens(Protocol):
    """Ids of the special tokens around an image (`tierexp.models.text.ImageTokenIds`)."""

    @property
    def im_start(self) -> int:
        """Opens a grid of patches."""

    @property
    def im_end(self) -> int:
        """Closes it."""

    @property
    def im_patch(self) -> int:
        """Stands where a vision token is added."""

    @property
    def im_col(self) -> int:
        """Ends a row of patches."""


@dataclass(frozen=True)
class TokenLayout:
    """The sequence of one sample, T tokens, for N crops and a global view of K tokens each.

    Args:
        input_ids: (T,) int64.
        image_input_idx: (N + 1, K) int64: positions in `input_ids`, `DROPPED` for tokens of an
            overlap that a neighbouring crop already gives.
    """

    input_ids: NDArray[np.int64]
    image_input_idx: NDArray[np.int64]


def layout_tokens(
    tiling: Tiling,
    geometry: CropGeometry,
    image_tokens: ImageTokens,
    bos_id: int,
    prompt_ids: Sequence[int],
) -> TokenLayout:
    """Lay out a sample: the beginning of the text, the global view, the canvas, the prompt.

    Args:
        tiling: (rows, cols) of crops.
        geometry: Overlap and pooling.
        image_tokens: Ids of the image's special tokens.
        bos_id: Id that begins every sequence.
        prompt_ids: The question, tokenized.
    """
    grid, canvas = geometry.token_grid, geometry.llm_grid(tiling)
    view_ids, canvas_ids = _grid_ids(grid, image_tokens), _grid_ids(canvas, image_tokens)
    prompt = np.array(prompt_ids, np.int64)
    input_ids = np.concatenate([np.array([bos_id], np.int64), view_ids, canvas_ids, prompt])

    rows = _canvas_index(tiling[0], grid[0], geometry.pooling[0], geometry)
    cols = _canvas_index(tiling[1], grid[1], geometry.pooling[1], geometry)
    down, across = rows[:, None, :, None], cols[None, :, None, :]  # (rows, cols, h, w)
    first = 1 + len(view_ids) + 1
    positions = np.where(
        (down >= 0) & (across >= 0), first + down * (canvas[1] + 1) + across, DROPPED
    )
    view = 2 + np.arange(grid[0])[:, None] * (grid[1] + 1) + np.arange(grid[1])
    tokens = geometry.tokens_per_crop
    image_input_idx = np.concatenate([view.reshape(1, tokens), positions.reshape(-1, tokens)])
    return TokenLayout(input_ids, image_input_idx)


def _grid_ids(grid: tuple[int, int], image_tokens: ImageTokens) -> NDArray[np.int64]:
    rows = np.full((grid[0], grid[1] + 1), image_tokens.im_patch, np.int64)
    rows[:, -1] = image_tokens.im_col
    return np.concatenate([[image_tokens.im_start], rows.ravel(), [image_tokens.im_end]])


def _canvas_index(crops: int, tokens: int, pool: int, geometry: CropGeometry) -> NDArray[np.int64]:
    """Along one axis, (crops, tokens): the canvas row or column of each token, -1 if dropped."""
    index = np.full((crops, tokens), -1, np.int64)
    placed = 0
    for crop in range(crops):
        start, stop = geometry.kept_patches(crop, crops)
        kept = -(-(stop - start) // pool)
        index[crop, start // pool : start // pool + kept] = np.arange(placed, placed + kept)
        placed += kept
    return index
