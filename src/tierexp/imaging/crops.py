"""A canvas to overlapping crops, and what share of every patch shows the image.

In: a canvas, a tiling, and the placement of the image on the canvas. Out: crops, patch masks and
counts of vision tokens that see anything. The masks are computed from the placement; no pixel is
looked at.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tierexp.geometry import CropGeometry, Tiling
from tierexp.imaging.resize import Pixels, Placement

MaskOrder = Literal["aligned", "shifted"]
"""Which crop a row of the patch mask belongs to: its own (`aligned`), or, as in the published
Molmo preprocessor, row i is local crop i's although row 0 is used for the global view
(`shifted`; the last row is -1)."""


def patch_masks(
    placement: Placement,
    view_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
    mask_order: MaskOrder = "aligned",
) -> NDArray[np.float32]:
    """The share of each patch's pixels that show the image.

    Args:
        placement: The image on the canvas.
        view_placement: The image on the global view.
        tiling: (rows, cols) of crops.
        geometry: Patch size, overlap.
        mask_order: Which crop a row belongs to.

    Returns:
        (rows * cols + 1, P) float32 in [0, 1], patches row by row; -1 in the last row where
        shifted.
    """
    crops = tiling[0] * tiling[1]
    masks = np.empty((crops + 1, geometry.patches_per_crop), np.float32)
    if mask_order == "shifted":
        _write_shares(placement, tiling, geometry, masks[:crops])
        masks[crops] = -1
    else:
        _write_shares(view_placement, (1, 1), geometry, masks[:1])
        _write_shares(placement, tiling, geometry, masks[1:])
    return masks


def count_actual_tokens(placement: Placement, tiling: Tiling, geometry: CropGeometry) -> int:
    """The vision tokens of a canvas's crops whose pooling window sees at least one pixel of the
    image. A token of an overlap counts in every crop that has it.

    Args:
        placement: The image on the canvas.
        tiling: (rows, cols) of crops; (1, 1) for the global view.
        geometry: Patch size, overlap, pooling.
    """
    top, left, bottom, right = placement.visible

    def along(crops: int, start: int, stop: int, pool: int) -> int:
        window = pool * geometry.patch_size
        tokens = 0
        for origin in range(0, crops * geometry.window_size, geometry.window_size):
            first, end = max(start - origin, 0), min(stop - origin, geometry.crop_size)
            if first < end:
                tokens += -(-end // window) - first // window
        return tokens

    pool_rows, pool_cols = geometry.pooling
    rows, cols = tiling
    return along(rows, top, bottom, pool_rows) * along(cols, left, right, pool_cols)


def cut_crops(canvas: Pixels, tiling: Tiling, geometry: CropGeometry, crops: Pixels) -> None:
    """Copy a canvas's overlapping crops, row by row, to where they belong.

    Args:
        canvas: (H, W, 3), writable, as large as `geometry.canvas_size(tiling)`.
        tiling: (rows, cols) of crops.
        geometry: Crop size S and overlap.
        crops: (rows * cols, S, S, 3), contiguous; receives the crops.
    """
    import torch

    if canvas.shape[:2] != geometry.canvas_size(tiling):
        raise ValueError(
            f"a canvas of {canvas.shape[:2]} cannot be cut into {tiling[0]} x {tiling[1]} crops"
        )
    side, step = geometry.crop_size, geometry.window_size
    # torch copies these overlapping windows a quarter faster than NumPy does.
    windows = torch.from_numpy(canvas).unfold(0, side, step).unfold(1, side, step)
    windows = windows.permute(0, 1, 3, 4, 2)  # (rows, cols, S, S, 3)
    torch.from_numpy(crops).view(windows.shape).copy_(windows)


def _write_shares(
    placement: Placement, tiling: Tiling, geometry: CropGeometry, shares: NDArray[np.float32]
) -> None:
    """Fill (rows * cols, P): a patch shows a rectangle, its pixel rows times its pixel columns."""
    if placement.padding_fraction == 0:
        shares.fill(1)
        return
    top, left, bottom, right = placement.visible
    down = np.maximum(np.minimum(_patch_edges(tiling[0], geometry), bottom), top)
    across = np.maximum(np.minimum(_patch_edges(tiling[1], geometry), right), left)
    pixel_rows = (down[:, 1:] - down[:, :-1])[:, None, :, None]
    pixel_cols = (across[:, 1:] - across[:, :-1])[None, :, None, :]
    side = geometry.patches_per_side
    np.multiply(pixel_rows, pixel_cols, out=shares.reshape(*tiling, side, side))
    shares /= geometry.patch_size**2


@cache
def _patch_edges(crops: int, geometry: CropGeometry) -> NDArray[np.float32]:
    """Where patches begin and end along one axis of a canvas, (crops, patches_per_side + 1)."""
    patch_edges = np.arange(0, geometry.crop_size + 1, geometry.patch_size)
    edges = np.arange(crops)[:, None] * geometry.window_size + patch_edges
    return edges.astype(np.float32)
