"""What tilings do to many images, column by column, from their sizes alone.

In: heights and widths, the tilings chosen, how images meet their canvases. Out: for every image
what an evaluation records of it, without a loop over images: those of one tiling share a canvas and
are placed on it together. No pixel is looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.measurements import ImageMeasurements, ManyImages
from tierexp.imaging.placements import count_actual_tokens_many, place_many
from tierexp.imaging.resize import Resize
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.selection import SelectionArrays


def columns_of(
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    selection: SelectionArrays,
    resize: Resize,
    geometry: CropGeometry,
) -> ManyImages:
    """What comes of the tiling of every image.

    Args:
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        selection: Their tilings.
        resize: How an image meets its canvas and the global view.
        geometry: Geometry of the crops.
    """
    selected, crop_tokens, llm = (np.empty_like(heights) for _ in range(3))
    content_kept, padding = (np.empty(len(heights)) for _ in range(2))
    for tiling, members in by_tiling(selection.tilings):
        placements = place_many(
            heights[members], widths[members], geometry.canvas_size(tiling), resize.crops
        )
        selected[members] = geometry.selected_vision_tokens(tiling[0] * tiling[1])
        crop_tokens[members] = count_actual_tokens_many(placements, tiling, geometry)
        llm[members] = geometry.llm_vision_tokens(tiling)
        content_kept[members] = placements.content_kept
        padding[members] = placements.padding_fraction
    side = geometry.crop_size
    views = place_many(heights, widths, (side, side), resize.global_view)
    view_tokens = geometry.global_views * count_actual_tokens_many(views, (1, 1), geometry)
    return ImageMeasurements(
        height=heights,
        width=widths,
        rows=selection.tilings[:, 0],
        cols=selection.tilings[:, 1],
        crops=selection.crops,
        mismatch=selection.mismatch,
        selected_vision_tokens=selected,
        selected_crop_tokens=selection.crops * geometry.tokens_per_crop,
        actual_vision_tokens=crop_tokens + view_tokens,
        actual_crop_tokens=crop_tokens,
        llm_vision_tokens=llm,
        unreduced_vision_tokens=llm,
        content_kept=content_kept,
        padding_fraction=padding,
    )


def by_tiling(tilings: NDArray[np.int64]) -> list[tuple[Tiling, NDArray[np.int64]]]:
    """Every tiling that occurs, and the indices of its images.

    Args:
        tilings: (N, 2), rows and columns.
    """
    rows, cols = tilings[:, 0], tilings[:, 1]
    if not len(rows):
        return []
    base = int(cols.max()) + 1
    keys = rows * base + cols
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    pairs = [(int(key) // base, int(key) % base) for key in distinct]
    return list(zip(pairs, np.split(order, starts[1:]), strict=True))
