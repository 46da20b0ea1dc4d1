"""A canvas to overlapping crops, and what share of every patch shows the image.

In: a canvas, a tiling, and the placement of the image on the canvas. Out: crops, patch masks and
counts of vision tokens that see anything. The masks are computed from the placement; no pixel is
looked at.
"""

from __future__ import annotations

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


def cut_crops(
    canvas: Pixels, global_view: Pixels, tiling: Tiling, geometry: CropGeometry
) -> Pixels:
    """The global view, then the canvas's overlapping crops row by row.

    Args:
        canvas: (H, W, 3), as large as `geometry.canvas_size(tiling)`.
        global_view: (S, S, 3), of the same dtype.
        tiling: (rows, cols) of crops.
        geometry: Crop size S and overlap.

    Returns:
        (rows * cols + 1, S, S, 3), contiguous.
    """
    rows, cols = tiling
    side, step = geometry.crop_size, geometry.window_size
    if canvas.shape[:2] != geometry.canvas_size(tiling):
        raise ValueError(f"a canvas of {canvas.shape[:2]} cannot be cut into {rows} x {cols} crops")
    down, right, channel = canvas.strides
    windows = as_strided(
        canvas,
        (rows, cols, side, side, 3),
        (step * down, step * right, down, right, channel),
        writeable=False,
    )
    crops: Pixels = np.empty((rows * cols + 1, side, side, 3), canvas.dtype)
    crops[0] = global_view
    crops[1:].reshape(rows, cols, side, side, 3)[...] = windows
    return crops


def patch_masks(
    placement: Placement,
    global_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
    mask_order: MaskOrder = "aligned",
) -> NDArray[np.float32]:
    """The share of each patch's pixels that show the image.

    Args:
        placement: The image on the canvas.
        global_placement: The image on the global view.
        tiling: (rows, cols) of crops.
        geometry: Patch size, overlap.
        mask_order: Which crop a row belongs to.

    Returns:
        (rows * cols + 1, P) float32 in [0, 1], patches row by row; -1 in the last row where
        shifted.
    """
    local = _patch_shares(placement, tiling, geometry)
    if mask_order == "shifted":
        return np.concatenate([local, np.full_like(local[:1], -1)])
    return np.concatenate([_patch_shares(global_placement, (1, 1), geometry), local])


def count_actual_tokens(placement: Placement, tiling: Tiling, geometry: CropGeometry) -> int:
    """The vision tokens of a canvas's crops whose pooling window sees at least one pixel of the
    image. A token of an overlap counts in every crop that has it.

    Args:
        placement: The image on the canvas.
        tiling: (rows, cols) of crops; (1, 1) for the global view.
        geometry: Patch size, overlap, pooling.
    """
    tokens = 1
    for covered, pool in zip(
        _covered_pixels(placement, tiling, geometry), geometry.pooling, strict=True
    ):
        starts = range(0, geometry.patches_per_side, pool)
        tokens *= int(np.count_nonzero(np.add.reduceat(covered, starts, axis=1)))
    return tokens


def _patch_shares(
    placement: Placement, tiling: Tiling, geometry: CropGeometry
) -> NDArray[np.float32]:
    """(rows * cols, P) float32."""
    down, right = _covered_pixels(placement, tiling, geometry)
    pixels = down[:, None, :, None] * right[None, :, None, :]  # (rows, cols, side, side)
    shares = pixels.astype(np.float32) / np.float32(geometry.patch_size**2)
    return shares.reshape(-1, geometry.patches_per_crop)


def _covered_pixels(
    placement: Placement, tiling: Tiling, geometry: CropGeometry
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixel rows, and the pixel columns, of every patch that show the image.

    The image is a rectangle, so a patch's coverage is the product of the two.

    Returns:
        (rows, patches_per_side) and (cols, patches_per_side).
    """
    top, left, bottom, right = placement.visible
    patches = np.arange(geometry.patches_per_side) * geometry.patch_size

    def along(count: int, start: int, stop: int) -> NDArray[np.int64]:
        first = np.arange(count)[:, None] * geometry.window_size + patches  # (count, side)
        end = first + geometry.patch_size
        covered: NDArray[np.int64] = np.minimum(end, stop) - np.maximum(first, start)
        return covered.clip(0)

    return along(tiling[0], top, bottom), along(tiling[1], left, right)
