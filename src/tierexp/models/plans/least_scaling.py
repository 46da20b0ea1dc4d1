"""The canvas that scales an image least: the rule of Llama 3.2, and of Cohere2 Vision and
Llama 4 after it.

Of all canvases that hold the whole image without making it smaller, the one that enlarges it least;
where there is none, the one that makes it least smaller. The first of equal ones wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.plan import Grid, Sides


@dataclass(frozen=True)
class LeastScalingFamily(CropFamily):
    """Crops of the canvas that scales an image least.

    Args:
        max_crops: Most crops; a global view comes on top.
    """

    single: ClassVar[bool] = False
    """The processor divides in float32, not in float64."""

    max_crops: int = 12

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_by_count(1, self.max_crops)

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        return least_scaling_grids(heights, widths, self._candidates, self.crop_size, self.single)


def least_scaling_grids(
    heights: Sides,
    widths: Sides,
    candidates: Sequence[Grid],
    crop_size: int,
    single: bool = False,
) -> NDArray[np.int64]:
    """(N, 2) rows and columns.

    Args:
        heights: (N,) pixels.
        widths: (N,) pixels.
        candidates: Grids, in the order in which ties are decided.
        crop_size: Side of a crop, in pixels.
        single: The processor divides in float32, not in float64.
    """
    by_rows = _scales(heights, {rows for rows, _ in candidates}, crop_size, single)
    by_cols = _scales(widths, {cols for _, cols in candidates}, crop_size, single)
    best = np.full(len(heights), -np.inf)  # below 1, to be raised; from 1 on, to be lowered
    winner = np.zeros(len(heights), np.int64)
    for index, (rows, cols) in enumerate(candidates):
        scale = np.minimum(by_rows[rows], by_cols[cols])
        enlarges, enlarged = scale >= 1, best >= 1
        better = np.where(enlarged, enlarges & (scale < best), enlarges | (scale > best))
        np.copyto(best, scale, where=better)
        np.copyto(winner, index, where=better)
    chosen: NDArray[np.int64] = np.array(candidates, np.int64)[winner]
    return chosen


def _scales(
    sides: Sides, counts: set[int], crop_size: int, single: bool
) -> dict[int, NDArray[np.floating]]:
    """(N,) of every count: how much that many crops enlarge a side."""
    lengths: NDArray[np.floating] = sides.astype(np.float32 if single else np.float64)
    # A number by an array keeps the array's precision.
    return {count: count * crop_size / lengths for count in counts}
