"""MiniCPM-V 4.6 ("MiniCPM-V", 2024, adaptive slicing): slices of the closest aspect ratio in
logarithms, about as many as the image has pixels for; the image itself first. Views and slices keep
their shape, so that their tokens differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import grids_by_count
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Preset, Sides, Size
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class MiniCpmGeometry(FamilyGeometry):
    """The image at its own shape, and slices of it.

    Args:
        scale_resolution: Side of the square whose area a slice has, in pixels.
        max_slice_nums: Most slices; the image itself comes on top.
        cell_size: Side of what becomes a token, in pixels.
    """

    global_view: ClassVar[GlobalView] = "first"

    scale_resolution: int = 448
    max_slice_nums: int = 9
    cell_size: int = 56

    def _grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        """(N, 2); (1, 1) where the image is not sliced."""
        pixels = heights * widths
        about = np.ceil(pixels / self.scale_resolution**2).astype(np.int64)
        about = np.minimum(about, self.max_slice_nums)
        # As the processor does it: numpy's logarithm may differ in the last bit, and ties decide.
        shape = np.fromiter(map(math.log, (widths / heights).tolist()), float, len(heights))
        grids = np.ones((len(heights), 2), np.int64)
        for count in range(2, self.max_slice_nums + 1):
            (members,) = np.nonzero(about == count)
            if len(members):
                grids[members] = self._closest(shape[members], count)
        return grids

    def _closest(self, shape: NDArray[np.float64], about: int) -> NDArray[np.int64]:
        """(N, 2): the closest of the grids of about so many slices; of equal ones more rows."""
        smallest = np.full(len(shape), np.inf)
        winner = np.ones((len(shape), 2), np.int64)
        for count in (about - 1, about, about + 1):
            if count == 1 or count > self.max_slice_nums:
                continue
            for rows in range(1, count + 1):
                if count % rows:
                    continue
                error = np.abs(shape - math.log(count // rows / rows))
                better = (error < smallest) | ((error == smallest) & (rows > winner[:, 0]))
                np.copyto(smallest, error, where=better)
                winner[better] = rows, count // rows
        return winner

    def _view_tokens(
        self, heights: NDArray[np.floating], widths: NDArray[np.floating], scaled: NDArray[np.bool_]
    ) -> Sides:
        """(N,) tokens of images at their own shape, `scaled` to the area of a slice or not."""
        aspect = widths / heights
        rows = np.where(scaled, np.trunc(self.scale_resolution / np.sqrt(aspect)), heights)
        cols = np.where(scaled, np.trunc(rows * aspect), widths)
        return self._cells(rows) * self._cells(cols)

    def _cells(self, sides: NDArray[np.floating]) -> Sides:
        return np.maximum(np.rint(sides / self.cell_size), 1).astype(np.int64)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self._grids(heights, widths)
        rows, cols = grids.T
        slices = rows * cols
        sliced = slices > 1
        large = heights * widths > self.scale_resolution**2
        view = self._view_tokens(
            heights.astype(np.float64), widths.astype(np.float64), large | ~sliced
        )
        part_height = np.maximum(np.rint(heights / rows) * rows, rows) / rows
        part_width = np.maximum(np.rint(widths / cols) * cols, cols) / cols
        part = self._view_tokens(part_height, part_width, np.ones(len(rows), np.bool_))
        return ImagePlans(
            grids,
            1 + np.where(sliced, slices, 0),
            view + np.where(sliced, slices * part, 0),
            # The image's number in three marks, start and end; around slices, and between rows.
            5 + np.where(sliced, 2 * slices + rows - 1, 0),
            np.zeros(len(rows), np.bool_),
        )

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return grids_by_count(1, self.max_slice_nums)

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [
            (self.scale_resolution * rows, self.scale_resolution * cols) for rows, cols in grids
        ]


FAMILY = Family(
    (Preset("minicpmv4_6", "class defaults", MiniCpmGeometry()),),
)
