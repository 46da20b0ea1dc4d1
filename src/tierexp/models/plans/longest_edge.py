"""Whole cells below a longest edge: Pixtral's rule ("Pixtral 12B", 2024), Mistral 3's and
LightOnOCR's after it.

An image with a side above the limit is scaled down to it, fractions of a pixel dropped; then both
sides are rounded up to whole cells. Nothing is enlarged. A side that the scaling leaves without a
pixel is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.cells import CellFamily
from tierexp.models.plans.plan import Sides


@dataclass(frozen=True)
class LongestEdgeFamily(CellFamily):
    """One image of whole cells below a longest edge.

    Args:
        longest_edge: Longest edge of an image before it is rounded up to whole cells, in pixels.
        row_marks: Marks after every row: line breaks, the last of them the end.
    """

    longest_edge: int
    row_marks: int = 0

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        ratio = np.maximum(np.maximum(heights, widths) / self.longest_edge, 1.0)
        rows, cols = (
            -(-np.floor(sides / ratio).astype(np.int64) // self.cell_size)
            for sides in (heights, widths)
        )
        return rows, cols, (rows == 0) | (cols == 0)

    @override
    def marks(self, rows: Sides, cols: Sides) -> Sides:
        del cols
        return rows * self.row_marks
