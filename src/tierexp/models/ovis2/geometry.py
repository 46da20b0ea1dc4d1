"""Ovis2 ("Ovis", 2024): the fewest crops that show nine tenths of an image at their own resolution,
the global view first.

The processor of transformers 5.24.0 computes the covering grid as (rows, cols) and reads it as
(cols, rows): a banner that three crops side by side cover is resized to three crops one above the
other. The number of crops, and so of tokens, is the same; the plan follows the processor, since
that is what the model sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Grid, ImagePlans, Preset, Sides
from tierexp.tiers.geometry import GlobalView

_COVERED = 0.9
"""Fraction of an image that its crops have to show at their own resolution."""


Length = NDArray[np.float64]
"""(N,) whole pixels, in floats."""


def _covered_area(tall: Length, wide: Length, crop_size: int) -> NDArray[np.float64]:
    """(N,): what a square crop shows of a part of an image, in pixels of the image."""
    longer, shorter = np.maximum(tall, wide), np.minimum(tall, wide)
    whole = shorter * longer
    shrunk = shorter / np.maximum(longer, 1.0) * crop_size * crop_size
    return np.where(longer > crop_size, shrunk, whole)


def _covered_pixels(
    tall: tuple[Length, Length], wide: tuple[Length, Length], grid: Grid, crop_size: int
) -> NDArray[np.float64]:
    """(N,): the same of all parts of an image, summed in the processor's order.

    Args:
        tall: Heights of the parts: of those of the last row, and of the other rows.
        wide: The same of widths.
        grid: Rows and columns of parts.
        crop_size: Side of a crop, in pixels.
    """
    rows, cols = grid
    areas: dict[tuple[bool, bool], NDArray[np.float64]] = {}
    total = np.zeros_like(tall[0])
    for row in range(rows):
        for col in range(cols):
            inner = row < rows - 1, col < cols - 1
            if inner not in areas:
                areas[inner] = _covered_area(tall[inner[0]], wide[inner[1]], crop_size)
            total += areas[inner]
    return total


def _parts(sides: Sides, most: int) -> list[tuple[Length, Length]]:
    """For 1 to `most` parts of a side the lengths of the last and of the others."""
    parts = []
    for count in range(1, most + 1):
        inner = sides // count
        parts.append(((sides - (count - 1) * inner).astype(np.float64), inner.astype(np.float64)))
    return parts


@dataclass(frozen=True)
class Ovis2Geometry(CropFamily):
    """The fewest crops that cover an image.

    Args:
        max_patches: Most crops; the global view comes on top.
    """

    global_view: ClassVar[GlobalView] = "first"

    max_patches: int = 9

    @cached_property
    def _candidates(self) -> list[Grid]:
        # As the processor lists them: the first number ascends among grids of one count.
        return [(first, second) for second, first in grids_by_count(1, self.max_patches)]

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        count = len(heights)
        tall, wide = _parts(heights, self.max_patches), _parts(widths, self.max_patches)
        pixels = widths * heights
        sufficient, best = np.zeros(count, np.bool_), np.full(count, -1.0)
        crops, winner = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for index, grid in enumerate(self._candidates):
            parts = tall[grid[0] - 1], wide[grid[1] - 1]
            share = _covered_pixels(*parts, grid, self.crop_size) / pixels
            enough = share > _COVERED
            same = crops == grid[0] * grid[1]
            # Fewest crops among the sufficient, then the largest share; largest share otherwise.
            better = np.where(sufficient, enough & same & (share > best), enough | (share > best))
            sufficient |= enough
            np.copyto(best, share, where=better)
            np.copyto(crops, grid[0] * grid[1], where=better)
            np.copyto(winner, index, where=better)
        chosen = np.array(self._candidates, np.int64)[winner]
        return chosen[:, ::-1]  # read as (cols, rows)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        plans = super().plan_sides(heights, widths)
        crops = plans.grids[:, 0] * plans.grids[:, 1]
        # Start, grid and end; a mark between neighbours and between rows.
        marks = crops + 2
        return ImagePlans(plans.grids, plans.images, plans.vision_tokens, marks, plans.refused)


FAMILY = Family(
    (Preset("ovis2", "448, max 9 patches", Ovis2Geometry(crop_size=448, tokens_per_image=256)),),
)
