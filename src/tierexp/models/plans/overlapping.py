"""Overlapping crops of the canvas that scales an image least: Molmo's rule, and Molmo2's.

All arithmetic is `CropGeometry`'s and the rule `NativeRule`'s; here they are counted as the other
families are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import grids_by_count
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size, Variant
from tierexp.tiers.aspects import inner_aspects
from tierexp.tiers.geometry import CropGeometry, GlobalView
from tierexp.tiers.native import NativeRule
from tierexp.tiers.selection import select_crops_many


@dataclass(frozen=True)
class OverlappingCrops(FamilyGeometry):
    """Overlapping crops, and always a global view.

    Args:
        crops: Their sizes and tokens.
        max_crops: Most crops; the global view comes on top.
    """

    global_view: ClassVar[GlobalView] = "first"

    crops: CropGeometry
    max_crops: int

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = select_crops_many(
            NativeRule(max_crops=self.max_crops), heights, widths, self.crops
        ).tilings
        view_rows, view_cols = self.crops.token_grid
        sides = range(1, self.max_crops + 1)
        rows = np.array([0, *(self.crops.llm_grid((n, 1))[0] for n in sides)])[grids[:, 0]]
        cols = np.array([0, *(self.crops.llm_grid((1, n))[1] for n in sides)])[grids[:, 1]]
        return ImagePlans(
            grids,
            self.crops.views(grids[:, 0] * grids[:, 1]),
            view_rows * view_cols + rows * cols,
            # A mark after every row, start and end of view and canvas, the start of the sequence.
            view_rows + rows + 5,
            np.zeros(len(grids), np.bool_),
        )

    @override
    def aspects(self, heights: Sides, widths: Sides) -> tuple[Sides, Sides]:
        return inner_aspects(heights, widths, self.crops)

    def budgets(self, plans: ImagePlans) -> NDArray[np.int64]:
        """(N,): the tokens of all crops and the global view, overlaps included."""
        budgets: NDArray[np.int64] = plans.images * self.crops.tokens_per_crop
        return budgets

    @override
    def variants(self, max_tokens: int) -> Sequence[Variant]:
        most = self.crops.crops_for_tokens(max_tokens)
        if most <= self.max_crops:
            return [Variant({}, self)]
        return [Variant({"max_crops": most}, replace(self, max_crops=most))]

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        most = min(self.max_crops, self.crops.crops_for_tokens(max_tokens))
        return grids_by_count(1, most)

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [self.crops.canvas_size(grid) for grid in grids]
