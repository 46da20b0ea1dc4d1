"""The arrays that Molmo2's published processor makes, at any tiling.

In: pixels, a tiling, a question. Out: what `Molmo2Processor` hands to the published model, under
its names: same shapes, dtypes and values. Follows `processing_molmo2.py` and
`image_processing_molmo2.py` of transformers 5.24.0, whose resizing is torchvision's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.preprocess import preprocess
from tierexp.imaging.resize import Resize, ResizeMode
from tierexp.models.molmo.token_layout import layout_tokens
from tierexp.models.molmo2.prompt import Molmo2Tokenizer
from tierexp.models.molmo2.settings import Molmo2Settings
from tierexp.tiers.geometry import CropGeometry, Tiling


@dataclass(frozen=True)
class Molmo2Published:
    """A `PublishedProcessor`.

    Args:
        settings: Settings of the checkpoint.
        tokenizer: Tokenizer of the checkpoint.
    """

    settings: Molmo2Settings
    tokenizer: Molmo2Tokenizer

    @property
    def max_crops(self) -> int:
        """Most crops of the processor's own rule."""
        return self.settings.max_crops

    def resize(self, mode: ResizeMode | None) -> Resize:
        """How an image meets its canvas; published: squashed, without antialiasing."""
        how = mode or "stretch"
        return Resize(how, "stretch", antialias=how != "stretch")

    def arrays(
        self, image: NDArray[np.uint8], tiling: Tiling, resize: Resize, prompt: str
    ) -> dict[str, NDArray[np.generic]]:
        """An image and its question as the published model takes them, a batch of one.

        Args:
            image: (height, width, 3) uint8 RGB.
            tiling: (rows, cols) of crops.
            resize: How the image meets its canvas.
            prompt: The question; the chat template is put around it.

        Returns:
            For N crops and a global view of P patches each, p pixels a patch's side, and L vision
            tokens of windows of w patches: `input_ids`, `attention_mask` and `mm_token_type_ids`
            (1 from the image's first token to its last), (1, T) int64; `pixel_values`
            (N + 1, P, 3 p p) float32; `image_token_pooling` (L, w) int32; `image_grids` (1, 4) and
            `image_num_crops` (1,) int64.
        """
        geometry, tokenizer = self.settings.geometry, self.tokenizer
        prompt_ids = tokenizer.encode_prompt(prompt)
        before = tokenizer.before_image
        layout = layout_tokens(tiling, geometry, tokenizer.image_tokens, before, prompt_ids)
        ids = layout.input_ids[None]
        of_image = np.zeros_like(ids)
        of_image[:, len(before) : ids.shape[1] - len(prompt_ids)] = 1
        crops = np.stack(preprocess(image, tiling, resize, geometry).views)
        return {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "mm_token_type_ids": of_image,
            "pixel_values": self._patches(crops),
            "image_token_pooling": pooling_indices(tiling, geometry),
            "image_grids": np.array([[*geometry.token_grid, *geometry.llm_grid(tiling)]], np.int64),
            "image_num_crops": np.array([len(crops)], np.int64),
        }

    def _patches(self, crops: NDArray[np.generic]) -> NDArray[np.float32]:
        """(V, S, S, 3) uint8 to (V, P, 3 p p), normalised in the published order of operations."""
        mean, std = (
            np.array(three, np.float32) * np.float32(255)
            for three in (self.settings.image_mean, self.settings.image_std)
        )
        pixels = (crops.astype(np.float32) - mean) / std
        views, size = crops.shape[:2]
        patch = self.settings.geometry.patch_size
        side = size // patch
        grid = pixels.reshape(views, side, patch, side, patch, 3).transpose(0, 1, 3, 2, 4, 5)
        patches: NDArray[np.float32] = grid.reshape(views, side * side, patch * patch * 3)
        return patches


def pooling_indices(tiling: Tiling, geometry: CropGeometry) -> NDArray[np.int32]:
    """The patches that each vision token is pooled from, in the published order.

    Args:
        tiling: (rows, cols) of crops.
        geometry: Geometry of the crops, the global view first.

    Returns:
        (L, patches of a window) int32: numbers of patches among all of the image's, view by view
        and row by row; within a window as they lie on the canvas, whichever crops they are of, and
        -1 where it reaches over the edge.
    """
    side = geometry.patches_per_side
    view = np.arange(side * side).reshape(side, side)
    (row_crop, row), (col_crop, col) = (_kept(crops, geometry) for crops in tiling)
    crop = 1 + row_crop[:, None] * tiling[1] + col_crop
    canvas = crop * side * side + row[:, None] * side + col
    return np.concatenate([_windows(grid, geometry.pooling) for grid in (view, canvas)])


def _kept(crops: int, geometry: CropGeometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Along an axis of the canvas, of every patch: the crop that gives it, and its place there."""
    kept = [np.arange(*geometry.kept_patches(crop, crops)) for crop in range(crops)]
    numbers = np.repeat(np.arange(crops), [len(places) for places in kept])
    return numbers, np.concatenate(kept)


def _windows(grid: NDArray[np.int64], pooling: tuple[int, int]) -> NDArray[np.int32]:
    """(h, w) to (windows, patches of one); a missing row or column is halved between the sides,
    the odd one at the end.
    """
    missing = [-length % pool for length, pool in zip(grid.shape, pooling, strict=True)]
    edges = [(lack // 2, lack - lack // 2) for lack in missing]
    padded = np.pad(grid, edges, constant_values=-1)
    rows, cols = padded.shape[0] // pooling[0], padded.shape[1] // pooling[1]
    windows = padded.reshape(rows, pooling[0], cols, pooling[1]).transpose(0, 2, 1, 3)
    return windows.reshape(rows * cols, -1).astype(np.int32)
