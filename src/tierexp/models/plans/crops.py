"""Families that cut an image into square crops, beside which the encoder sees a global view.

In: a rule that gives an image its grid. Out: plans. What rule it is, each family says.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size
from tierexp.tiers.geometry import GlobalView


def grids_by_count(min_crops: int, max_crops: int) -> list[Grid]:
    """Every grid of `min_crops` to `max_crops` crops, by their number, then by columns."""
    every = (
        (rows, cols)
        for cols in range(1, max_crops + 1)
        for rows in range(1, max_crops // cols + 1)
        if rows * cols >= min_crops
    )
    return sorted(every, key=lambda grid: grid[0] * grid[1])


def grids_in_set_order(min_crops: int, max_crops: int) -> list[Grid]:
    """The same grids where a processor collects them in a set before it sorts them by their number:
    those of one number stand as CPython iterates over a set of (cols, rows), which decides ties.
    """
    wide = {
        (cols, rows)
        for count in range(min_crops, max_crops + 1)
        for cols in range(1, count + 1)
        for rows in range(1, count + 1)
        if min_crops <= cols * rows <= max_crops
    }
    return [(rows, cols) for cols, rows in sorted(wide, key=lambda grid: grid[0] * grid[1])]


@dataclass(frozen=True)
class CropFamily(FamilyGeometry):
    """Square crops and, beside more than one of them, a global view; all cost the same.

    Args:
        crop_size: Side of a crop, in pixels.
        tokens_per_image: Tokens of a crop and of the global view.
        fixed_marks: Around the whole.
        marks_per_image: Beside every crop and the global view.
    """

    global_view: ClassVar[GlobalView] = "last"

    crop_size: int
    tokens_per_image: int
    fixed_marks: int = 0
    marks_per_image: int = 0

    @abstractmethod
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        """(N, 2) rows and columns of crops."""

    @abstractmethod
    def all_grids(self) -> Iterable[Grid]:
        """Every grid that the settings know."""

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self.grids(heights, widths)
        crops = grids[:, 0] * grids[:, 1]
        images = crops + (crops > 1)
        return ImagePlans(
            grids,
            images,
            images * self.tokens_per_image,
            self.fixed_marks + images * self.marks_per_image,
            np.zeros(len(heights), np.bool_),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        most = max_tokens // self.tokens_per_image
        return [(rows, cols) for rows, cols in self.all_grids() if rows * cols <= most]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.crop_size * rows, self.crop_size * cols) for rows, cols in grids]
