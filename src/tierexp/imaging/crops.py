"""A canvas to overlapping crops, and what share of every patch shows the image.

In: a canvas, a tiling, and the placement of the image on the canvas. Out: crops, patch masks and
counts of vision tokens that see anything. The masks are computed from the placement; no pixel is
looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tierexp.geometry import CropGeometry, Tiling
from tierexp.imaging.resize import Pixels, Placement

MaskOrder = Literal["aligned", "shifted"]
"""Which crop a row of the patch mask belongs to: its own (`aligned`), or, as in the published
Molmo preprocessor, row i is local crop i's although row 0 is used for the global view
(`shifted`; the last row is -1)."""


@dataclass(frozen=True)
class Coverage:
    """How many pixel rows, and how many pixel columns, of every patch show the image.

    The image is a rectangle on its canvas, so what a patch shows of it is the product of the two.

    Args:
        down: (rows, patches_per_side) int64, for each row of crops.
        across: (cols, patches_per_side) int64, for each column of crops.
    """

    down: NDArray[np.int64]
    across: NDArray[np.int64]


def cover(placement: Placement, tiling: Tiling, geometry: CropGeometry) -> Coverage:
    """The coverage of a canvas's crops.

    Args:
        placement: The image on the canvas.
        tiling: (rows, cols) of crops; (1, 1) for the global view.
        geometry: Patch size, overlap.
    """
    top, left, bottom, right = placement.visible
    down = _patch_edges(tiling[0], geometry).clip(top, bottom)
    across = _patch_edges(tiling[1], geometry).clip(left, right)
    return Coverage(down[:, 1:] - down[:, :-1], across[:, 1:] - across[:, :-1])


def patch_masks(
    crops: Coverage,
    global_view: Coverage,
    geometry: CropGeometry,
    mask_order: MaskOrder = "aligned",
) -> NDArray[np.float32]:
    """The share of each patch's pixels that show the image.

    Args:
        crops: Of the canvas.
        global_view: Of the global view.
        geometry: Patch size.
        mask_order: Which crop a row belongs to.

    Returns:
        (N + 1, P) float32 in [0, 1] for N crops, patches row by row; -1 in the last row where
        shifted.
    """
    local, view = _patch_shares(crops, geometry), _patch_shares(global_view, geometry)
    if mask_order == "shifted":
        return np.concatenate([local, np.full_like(view, -1)])
    return np.concatenate([view, local])


def count_actual_tokens(coverage: Coverage, geometry: CropGeometry) -> int:
    """The vision tokens whose pooling window sees at least one pixel of the image. A token of an
    overlap counts in every crop that has it.

    Args:
        coverage: Of a canvas's crops, or of the global view.
        geometry: Pooling.
    """
    pool_rows, pool_cols = geometry.pooling
    side = geometry.patches_per_side
    rows = np.add.reduceat(coverage.down, range(0, side, pool_rows), axis=1)
    cols = np.add.reduceat(coverage.across, range(0, side, pool_cols), axis=1)
    return int(np.count_nonzero(rows)) * int(np.count_nonzero(cols))


def cut_crops(canvas: Pixels, tiling: Tiling, geometry: CropGeometry, crops: Pixels) -> None:
    """Copy a canvas's overlapping crops, row by row, to where they belong.

    Args:
        canvas: (H, W, 3), as large as `geometry.canvas_size(tiling)`.
        tiling: (rows, cols) of crops.
        geometry: Crop size S and overlap.
        crops: (rows * cols, S, S, 3), contiguous; receives the crops.
    """
    rows, cols = tiling
    side, step = geometry.crop_size, geometry.window_size
    if canvas.shape[:2] != geometry.canvas_size(tiling):
        raise ValueError(f"a canvas of {canvas.shape[:2]} cannot be cut into {rows} x {cols} crops")
    down, across, channel = canvas.strides
    windows = as_strided(
        canvas,
        (rows, cols, side, side, 3),
        (step * down, step * across, down, across, channel),
        writeable=False,
    )
    crops.reshape(rows, cols, side, side, 3)[...] = windows


@cache
def _patch_edges(crops: int, geometry: CropGeometry) -> NDArray[np.int64]:
    """Where patches begin and end along one axis of a canvas, (crops, patches_per_side + 1)."""
    patch_edges = np.arange(0, geometry.crop_size + 1, geometry.patch_size)
    edges: NDArray[np.int64] = np.arange(crops)[:, None] * geometry.window_size + patch_edges
    return edges


def _patch_shares(coverage: Coverage, geometry: CropGeometry) -> NDArray[np.float32]:
    """(rows * cols, P) float32."""
    down, across = coverage.down.astype(np.float32), coverage.across.astype(np.float32)
    pixels = down[:, None, :, None] * across[None, :, None, :]  # (rows, cols, side, side)
    shares: NDArray[np.float32] = pixels / np.float32(geometry.patch_size**2)
    return shares.reshape(-1, geometry.patches_per_crop)
