"""What a crop policy does to many images, column by column, from their sizes alone.

In: heights and widths, a policy, how images meet their canvases. Out: for every image the figures
that an evaluation records of it, without a loop over images: those of one tiling share a canvas
and are placed on it together. No pixel is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.data.sizes import ImageSizes
from tierexp.imaging.placements import count_actual_tokens_many, place_many
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.tiers.geometry import Tiling
from tierexp.tiers.selection import SelectionArrays


@dataclass(frozen=True)
class ImageColumns:
    """The figures of N images, in the words and definitions of `SampleResult`; None where sizes
    alone do not tell.

    Args:
        selection: Crops, tilings and mismatches.
        selected_vision_tokens: (N,) int64: the budget, the global view's included.
        actual_vision_tokens: (N,) int64: of those, the tokens that see a pixel of the image.
        actual_crop_tokens: (N,) int64: the same of the crops alone.
        llm_vision_tokens: (N,) int64: what a language model receives.
        utilization: (N,) float64: actual / selected.
        crop_utilization: (N,) float64: the same of the crops alone.
        content_kept: (N,) float64: share of the image's area left after cropping to the canvas.
        padding_fraction: (N,) float64: share of the canvas's area that is padding.
    """

    selection: SelectionArrays
    selected_vision_tokens: NDArray[np.int64]
    actual_vision_tokens: NDArray[np.int64] | None
    actual_crop_tokens: NDArray[np.int64] | None
    llm_vision_tokens: NDArray[np.int64]
    utilization: NDArray[np.float64] | None
    crop_utilization: NDArray[np.float64] | None
    content_kept: NDArray[np.float64]
    padding_fraction: NDArray[np.float64] | None


def measure(sizes: ImageSizes, preprocessing: Preprocessing) -> ImageColumns:
    """Select a tiling for every image and say what comes of it.

    Args:
        sizes: Of the images.
        preprocessing: How images become crops.
    """
    heights, widths = sizes.heights, sizes.widths
    resize, geometry = preprocessing.resize, preprocessing.geometry
    selection = preprocessing.select_many(heights, widths)
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
    actual = crop_tokens + count_actual_tokens_many(views, (1, 1), geometry)
    return ImageColumns(
        selection=selection,
        selected_vision_tokens=selected,
        actual_vision_tokens=actual,
        actual_crop_tokens=crop_tokens,
        llm_vision_tokens=llm,
        utilization=actual / selected,
        crop_utilization=crop_tokens / (selection.crops * geometry.tokens_per_crop),
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
