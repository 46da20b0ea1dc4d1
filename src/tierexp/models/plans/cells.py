"""Families that take an image at its own resolution: one image, resized to whole cells.

A cell is what becomes one token: a patch, or a square of patches that are merged. In: a rule that
resizes. Out: plans whose grid counts cells.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size, Unit, refuse


@dataclass(frozen=True)
class CellFamily(FamilyGeometry):
    """One image of whole cells.

    Args:
        cell_size: Side of a cell, in pixels.
    """

    unit: ClassVar[Unit] = "cell"

    cell_size: int

    @abstractmethod
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(N,) rows and (N,) columns of cells, and (N,) whether the processor refuses the image."""

    def tokens(self, rows: Sides, cols: Sides) -> Sides:
        """(N,): what the language model reads of a grid of cells."""
        return rows * cols

    def marks(self, rows: Sides, cols: Sides) -> Sides:
        """(N,): what stands around them."""
        del cols
        return np.zeros_like(rows)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        rows, cols, refused = self.cells(heights, widths)
        plans = ImagePlans(
            np.stack([rows, cols], axis=-1),
            np.ones(len(rows), np.int64),
            self.tokens(rows, cols),
            self.marks(rows, cols),
            refused,
        )
        return refuse(plans, refused) if refused.any() else plans

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        return [
            (rows, cols)
            for rows in range(1, max_tokens + 1)
            for cols in range(1, max_tokens // rows + 1)
        ]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.cell_size * rows, self.cell_size * cols) for rows, cols in grids]
