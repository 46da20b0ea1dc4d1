"""A resampled image to overlapping crops, and what share of every patch shows the image.

In: a tiling, where the image lies on its canvas, and its pixels there. Out: crops, patch masks and
counts of vision tokens that see anything. The masks are computed from the placement; no pixel is
looked at. The global view is the one crop of a tiling of (1, 1).
"""

from __future__ import annotations

from functools import cache
from itertools import product
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

    def along(crops: int, first: int, end: int, pool: int) -> int:
        window = pool * geometry.patch_size
        spans = _spans(crops, first, end, geometry)
        return sum(-(-stop // window) - start // window for start, stop, _ in spans if start < stop)

    pool_rows, pool_cols = geometry.pooling
    rows, cols = tiling
    return along(rows, top, bottom, pool_rows) * along(cols, left, right, pool_cols)


def cut_crops(
    shown: Pixels, placement: Placement, tiling: Tiling, geometry: CropGeometry, crops: Pixels
) -> None:
    """Copy the overlapping crops of a canvas, row by row, to where they belong.

    There is no canvas in between: pixels and padding go straight into the crops.

    Args:
        shown: (h, w, 3): the visible part of the canvas, as `resample` gives it.
        placement: Where it lies on the canvas.
        tiling: (rows, cols) of crops.
        geometry: Crop size S and overlap.
        crops: (rows * cols, S, S, 3) of the same dtype; receives the crops.

    Raises:
        ValueError: A canvas of another tiling, or arrays of other sizes.
    """
    if placement.canvas_size != geometry.canvas_size(tiling):
        raise ValueError(
            f"a canvas of {placement.canvas_size} cannot be cut into"
            f" {tiling[0]} x {tiling[1]} crops"
        )
    top, left, bottom, right = placement.visible
    if shown.shape[:2] != (bottom - top, right - left):
        raise ValueError(f"{shown.shape[:2]} is not the size of what {placement} shows")
    whole = 0, 0, geometry.crop_size, geometry.crop_size
    spans = product(
        _spans(tiling[0], top, bottom, geometry), _spans(tiling[1], left, right, geometry)
    )
    for crop, ((y0, y1, y), (x0, x1, x)) in zip(crops, spans, strict=True):
        if (y0, x0, y1, x1) != whole:
            crop[:y0] = 0
            crop[y1:] = 0
            crop[y0:y1, :x0] = 0
            crop[y0:y1, x1:] = 0
        crop[y0:y1, x0:x1] = shown[y : y + y1 - y0, x : x + x1 - x0]


def _spans(crops: int, first: int, end: int, geometry: CropGeometry) -> list[tuple[int, int, int]]:
    """Along one axis, what each crop shows of an image that lies on [first, end) of the canvas.

    Returns:
        (start, stop, source): the crop's pixels [start, stop) show the image from `source` on.
    """
    side, step = geometry.crop_size, geometry.window_size
    spans = []
    for origin in range(0, crops * step, step):
        start = min(max(first - origin, 0), side)
        stop = max(min(end - origin, side), start)
        spans.append((start, stop, origin + start - first))
    return spans


def _write_shares(
    placement: Placement, tiling: Tiling, geometry: CropGeometry, shares: NDArray[np.float32]
) -> None:
    """Fill (rows * cols, P): a patch shows a rectangle, its pixel rows times its pixel columns."""
    top, left, bottom, right = placement.visible
    height, width = placement.canvas_size
    if (top, left, bottom, right) == (0, 0, height, width):
        shares.fill(1)
        return
    pixel_rows = _shown_pixels(tiling[0], top, bottom, geometry)[:, None, :, None]
    pixel_cols = _shown_pixels(tiling[1], left, right, geometry)[:, None]
    side = geometry.patches_per_side
    np.multiply(pixel_rows, pixel_cols, out=shares.reshape(*tiling, side, side))
    shares /= geometry.patch_size**2


def _shown_pixels(crops: int, first: int, end: int, geometry: CropGeometry) -> NDArray[np.float32]:
    """(crops, patches_per_side): along one axis, the pixels of each patch within [first, end)."""
    edges = np.maximum(np.minimum(_patch_edges(crops, geometry), end), first)
    return edges[:, 1:] - edges[:, :-1]


@cache
def _patch_edges(crops: int, geometry: CropGeometry) -> NDArray[np.float32]:
    """Where patches begin and end along one axis of a canvas, (crops, patches_per_side + 1)."""
    patch_edges = np.arange(0, geometry.crop_size + 1, geometry.patch_size)
    edges = np.arange(crops)[:, None] * geometry.window_size + patch_edges
    return edges.astype(np.float32)
