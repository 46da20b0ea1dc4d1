"""Families whose images all cost the same: padded or squashed into one square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Sides, Size


@dataclass(frozen=True)
class FixedTokens(FamilyGeometry):
    """One square image.

    Args:
        size: Side of the square, in pixels.
        tokens: That the language model reads of it.
        fixed_marks: Around them.
    """

    size: int
    tokens: int
    fixed_marks: int = 0

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        del widths
        ones = np.ones(len(heights), np.int64)
        return ImagePlans(
            np.ones((len(heights), 2), np.int64),
            ones,
            ones * self.tokens,
            ones * self.fixed_marks,
            np.zeros(len(heights), np.bool_),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return [(1, 1)]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.size * rows, self.size * cols) for rows, cols in grids]
