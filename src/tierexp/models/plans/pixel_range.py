"""Whole cells within a range of pixels: Qwen2-VL's rule ("Qwen2-VL", 2024), and that of many since.

Both sides are rounded to whole cells; an image of too many or too few pixels is first scaled to the
limit, down or up. Sides are rounded half to even. An aspect ratio above 200 is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.cells import CellFamily
from tierexp.models.plans.plan import Sides

MAX_ASPECT = 200
"""The longer side by the shorter; above it the processor refuses the image."""


def cells_in_pixel_range(
    heights: Sides,
    widths: Sides,
    cell_size: int,
    min_pixels: int,
    max_pixels: int,
    frames: int = 1,
    at_least_one: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) rows and (N,) columns of cells.

    Args:
        heights: (N,) pixels.
        widths: (N,) pixels.
        cell_size: Side of a cell, in pixels.
        min_pixels: Images of fewer are enlarged.
        max_pixels: Images of more are made smaller.
        frames: How often an image's pixels are counted.
        at_least_one: A side is one cell at least before its pixels are counted; otherwise a side
            of less than half a cell counts as none, so that the image is enlarged.
    """
    rows, cols = np.rint(heights / cell_size), np.rint(widths / cell_size)
    if at_least_one:
        np.maximum(rows, 1, out=rows)
        np.maximum(cols, 1, out=cols)
    pixels = frames * rows * cell_size * cols * cell_size
    own = (heights * widths).astype(np.float64) * frames
    many, few = pixels > max_pixels, pixels < min_pixels
    down = np.sqrt(own / max_pixels)
    up = np.sqrt(min_pixels / own)
    for cells, sides in ((rows, heights), (cols, widths)):
        np.copyto(cells, np.maximum(np.floor(sides / down / cell_size), 1), where=many)
        np.copyto(cells, np.ceil(sides * up / cell_size), where=few)
    return rows.astype(np.int64), cols.astype(np.int64)


def too_long(heights: Sides, widths: Sides) -> NDArray[np.bool_]:
    """(N,): whether the processor refuses the image for its aspect ratio."""
    longer, shorter = np.maximum(heights, widths), np.minimum(heights, widths)
    return longer / shorter > MAX_ASPECT


@dataclass(frozen=True)
class PixelRangeFamily(CellFamily):
    """One image of whole cells within a range of pixels.

    Args:
        min_pixels: Images of fewer are enlarged.
        max_pixels: Images of more are made smaller.
    """

    min_pixels: int
    max_pixels: int

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        rows, cols = cells_in_pixel_range(
            heights, widths, self.cell_size, self.min_pixels, self.max_pixels
        )
        return rows, cols, too_long(heights, widths)
