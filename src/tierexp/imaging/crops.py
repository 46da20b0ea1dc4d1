"""A canvas to overlapping crops, and what fraction of every patch shows the image.

In: a tiling, a canvas, and where the image lies on it. Out: crops, patch masks and counts of vision
tokens that see anything. No pixel is copied for the crops, and none is looked at for the masks,
which follow from the placement. The global view is the one crop of a tiling of (1, 1).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.resize import Pixels, Placement
from tierexp.tiers.geometry import CropGeometry, Tiling


def patch_masks(
    placement: Placement,
    view_placement: Placement,
    tiling: Tiling,
    geometry: CropGeometry,
) -> NDArray[np.float32]:
    """The fraction of each patch's pixels that show the image.

    Args:
        placement: The image on the canvas.
        view_placement: The image on the global view.
        tiling: (rows, cols) of crops.
        geometry: Patch size, overlap.

    Returns:
        (V, P) float32 in [0, 1] for V views, crops and the global view in the geometry's order;
        patches row by row.
    """
    view = _shares(view_placement.visible, (1, 1), geometry)
    return np.concatenate(geometry.in_order(view, [_shares(placement.visible, tiling, geometry)]))


def count_actual_tokens(placement: Placement, tiling: Tiling, geometry: CropGeometry) -> int:
    """The vision tokens of a canvas's crops whose pooling window sees at least one pixel of the
    image. A token of an overlap counts in every crop that has it.

    Args:
        placement: The image on the canvas.
        tiling: (rows, cols) of crops; (1, 1) for the global view.
        geometry: Patch size, overlap, pooling.
    """
    top, left, bottom, right = placement.visible
    (rows, cols), (pool_rows, pool_cols) = tiling, geometry.pooling
    seeing_rows = _seeing_tokens(rows, top, bottom, pool_rows, geometry)
    return seeing_rows * _seeing_tokens(cols, left, right, pool_cols, geometry)


def cut_crops(canvas: Pixels, tiling: Tiling, geometry: CropGeometry) -> list[Pixels]:
    """The overlapping crops of a canvas, row by row, where they lie: no pixel is copied.

    Args:
        canvas: (H, W, 3) uint8 or float32.
        tiling: (rows, cols) of crops.
        geometry: Crop size S and overlap.

    Returns:
        rows * cols views of the canvas, (S, S, 3).

    Raises:
        ValueError: A canvas of another tiling.
    """
    (rows, cols), size = tiling, canvas.shape[:2]
    if size != geometry.canvas_size(tiling):
        raise ValueError(f"a canvas of {size} cannot be cut into {rows} x {cols} crops")
    side, step = geometry.crop_size, geometry.window_size
    return [
        canvas[y : y + side, x : x + side]
        for y in range(0, rows * step, step)
        for x in range(0, cols * step, step)
    ]


# Many images lie on a canvas alike: where they fill it or are stretched, all of a tiling, and where
# they are padded, all that leave the same margin. So masks and counts are remembered; the masks of
# 15 crops are 35 kilobytes.
@lru_cache(maxsize=1024)
def _shares(
    visible: tuple[int, int, int, int], tiling: Tiling, geometry: CropGeometry
) -> NDArray[np.float32]:
    """(rows * cols, P): a patch shows a rectangle, its pixel rows times its pixel columns."""
    top, left, bottom, right = visible
    pixel_rows = _shown_pixels(tiling[0], top, bottom, geometry)[:, None, :, None]
    pixel_cols = _shown_pixels(tiling[1], left, right, geometry)[:, None]
    shares = (pixel_rows * pixel_cols / geometry.patch_size**2).astype(np.float32)
    return shares.reshape(-1, geometry.patches_per_crop)


def _shown_pixels(crops: int, first: int, end: int, geometry: CropGeometry) -> NDArray[np.int64]:
    """(crops, patches_per_side): along one axis, the pixels of each patch within [first, end)."""
    patch_edges = np.arange(0, geometry.crop_size + 1, geometry.patch_size)
    edges = np.arange(crops)[:, None] * geometry.window_size + patch_edges
    return np.diff(edges.clip(first, end))


@lru_cache(maxsize=4096)
def _seeing_tokens(crops: int, first: int, end: int, pool: int, geometry: CropGeometry) -> int:
    """Along one axis, the crops' pooling windows with a pixel within [first, end)."""
    side, step, window = geometry.crop_size, geometry.window_size, pool * geometry.patch_size
    seeing = 0
    for origin in range(0, crops * step, step):
        start, stop = max(first - origin, 0), min(end - origin, side)
        if start < stop:
            seeing += -(-stop // window) - start // window
    return seeing
