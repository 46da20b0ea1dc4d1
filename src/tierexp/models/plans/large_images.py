"""A padded global view, and beside it crops of the images that are larger than one: the rule of
DeepSeek-OCR, and of its successor. The grid is that of the closest aspect ratio.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tierexp.models.plans.closest_aspect import closest_aspect_grids
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class LargeImageCrops(FamilyGeometry):
    """A global view, and crops of images that are larger than one.

    Args:
        crop_size: Side of a crop, in pixels.
        view_size: Side of the global view, in pixels.
        cell_size: Side of what becomes a token, in pixels.
        min_crops: Fewest crops of a large image.
        max_crops: Most crops.
        marks: Around the image.
    """

    global_view: ClassVar[GlobalView] = "last"

    crop_size: int
    view_size: int
    cell_size: int
    min_crops: int
    max_crops: int
    marks: int

    @abstractmethod
    def candidates(self) -> Sequence[Grid]:
        """Grids of large images, in the order in which ties are decided."""

    @abstractmethod
    def view_tokens(self) -> int:
        """Placeholders of the global view."""

    @abstractmethod
    def crop_tokens(self, rows: Sides, cols: Sides) -> Sides:
        """(N,): placeholders of (N,) grids of crops."""

    @cached_property
    def _candidates(self) -> Sequence[Grid]:
        return self.candidates()

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = closest_aspect_grids(heights, widths, self._candidates, self.crop_size)
        large = np.maximum(heights, widths) > self.crop_size
        grids[~large] = 1
        rows, cols = grids.T
        return ImagePlans(
            grids,
            1 + np.where(large, rows * cols, 0),
            self.view_tokens() + np.where(large, self.crop_tokens(rows, cols), 0),
            np.full(len(grids), self.marks, np.int64),
            np.zeros(len(grids), np.bool_),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return [(1, 1), *self._candidates]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.crop_size * rows, self.crop_size * cols) for rows, cols in grids]
