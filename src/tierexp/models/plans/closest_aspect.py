"""The grid whose aspect ratio is closest: the rule of InternVL, taken over by many families.

Of all grids within a range of crop counts, the one with the smallest difference between its aspect
ratio and the image's; of equally near ones the one of more crops, as long as half of its pixels are
fewer than the image's. Published with "InternVL 1.5" (2024) as dynamic resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.plan import Grid, Sides


def closest_aspect_grids(
    heights: Sides, widths: Sides, candidates: Sequence[Grid], crop_size: int
) -> NDArray[np.int64]:
    """(N, 2) rows and columns; (1, 1) where there are no candidates.

    Args:
        heights: (N,) pixels.
        widths: (N,) pixels.
        candidates: Grids in the order in which the processor tries them: a later one wins a tie
            where it is not too large.
        crop_size: Side of a crop, in pixels.
    """
    aspects = widths / heights
    areas = (widths * heights).astype(np.float64)
    smallest = np.full(len(aspects), np.inf)
    winner = np.full(len(aspects), len(candidates))
    difference = np.empty_like(aspects)
    for index, (rows, cols) in enumerate(candidates):
        np.abs(np.subtract(aspects, cols / rows, out=difference), out=difference)
        better = difference < smallest
        better |= (difference == smallest) & (areas > 0.5 * crop_size * crop_size * cols * rows)
        np.copyto(smallest, difference, where=better)
        np.copyto(winner, index, where=better)
    chosen: NDArray[np.int64] = np.array([*candidates, (1, 1)], np.int64)[winner]
    return chosen


@dataclass(frozen=True)
class ClosestAspectFamily(CropFamily):
    """Crops in the grid of the closest aspect ratio.

    Args:
        min_patches: Fewest crops.
        max_patches: Most crops; the global view comes on top.
        crop_to_patches: Whether there are crops at all; otherwise the whole image is the only one.
    """

    min_patches: int = 1
    max_patches: int = 12
    crop_to_patches: bool = True

    @cached_property
    def _candidates(self) -> list[Grid]:
        if not self.crop_to_patches or self.max_patches <= 1:
            return [(1, 1)]
        return grids_by_count(self.min_patches, self.max_patches)

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        return closest_aspect_grids(heights, widths, self._candidates, self.crop_size)
