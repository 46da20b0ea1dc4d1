"""Perception LM ("PerceptionLM", 2025): of all canvases of tiles that hold an image whole, the one
that enlarges its shorter side most; where none holds it, the closest aspect ratio that is not
longer. The global view first. So a small image gets the most tiles, and a tier sets their number
too: as an attribute of the image processor, since the call's argument is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Grid, ImagePlans, Preset, Sides, Variant
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class PerceptionLmGeometry(CropFamily):
    """Tiles of the largest canvas, and always a global view.

    Args:
        max_num_tiles: Most tiles; the global view comes on top.
    """

    global_view: ClassVar[GlobalView] = "first"

    chunk: ClassVar[int] = 2**18  # every group of images costs a pass over its canvases

    max_num_tiles: int = 36

    @cached_property
    def _by_aspect(self) -> dict[float, list[Grid]]:
        """Grids by columns / rows, in the processor's order: by falling number of tiles, then by
        columns, those of an aspect ratio together where it first occurs.
        """
        found: dict[float, list[Grid]] = {}
        for tiles in range(self.max_num_tiles, 0, -1):
            for cols in range(1, tiles + 1):
                if tiles % cols == 0:
                    rows = tiles // cols
                    found.setdefault(cols / rows, []).append((rows, cols))
        return found

    @cached_property
    def _candidates(self) -> list[Grid]:
        return [grid for grids in self._by_aspect.values() for grid in grids]

    @override
    def all_grids(self) -> Iterable[Grid]:
        return grids_by_count(1, self.max_num_tiles)

    @override
    def variants(self, max_tokens: int) -> Sequence[Variant]:
        most = min(max_tokens // self.tokens_per_image - 1, self.max_num_tiles)
        return [
            Variant({"max_num_tiles": tiles}, replace(self, max_num_tiles=tiles))
            for tiles in range(1, most + 1)
        ]

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        chosen = np.empty((len(heights), 2), np.int64)
        rows_needed, cols_needed = -(-heights // self.crop_size), -(-widths // self.crop_size)
        held = rows_needed * cols_needed <= self.max_num_tiles
        chosen[~held] = self._closest(heights[~held], widths[~held])
        # Images that the same canvases hold are compared with those alone, wide ones apart.
        key = rows_needed * (self.max_num_tiles + 1) + cols_needed
        key = 3 * key + np.sign(widths - heights)
        (held_at,) = np.nonzero(held)
        order = held_at[np.argsort(key[held_at], kind="stable")]
        _, starts = np.unique(key[order], return_index=True)
        for members in np.split(order, starts[1:]) if len(order) else []:
            holding = [
                (rows, cols)
                for rows, cols in self._candidates
                if rows >= rows_needed[members[0]] and cols >= cols_needed[members[0]]
            ]
            chosen[members] = self._largest(heights[members], widths[members], holding)
        return chosen

    def _largest(self, heights: Sides, widths: Sides, holding: list[Grid]) -> NDArray[np.int64]:
        """(N, 2): the canvas whose shorter side of the image is longest; the last of equal ones.

        Args:
            heights: (N,) of images that are all wide, all tall or all square.
            widths: (N,) of them.
            holding: Canvases that hold them, in the processor's order.
        """
        wide = int(np.sign(widths[0] - heights[0]))
        longer = np.maximum(heights, widths).astype(np.float64)
        shape = widths / heights
        by_rows = {rows: rows * self.crop_size / heights for rows, _ in holding}
        by_cols = {cols: cols * self.crop_size / widths for _, cols in holding}
        longest = np.full(len(heights), -1.0)
        winner = np.zeros(len(heights), np.int64)
        for index, (rows, cols) in enumerate(holding):
            # The longer side is kept as it is; the shorter follows from it, fractions dropped, and
            # of a square the side itself is compared.
            length = np.minimum(by_cols[cols], by_rows[rows]) * longer
            if wide:
                length = np.floor(length / shape if wide > 0 else length * shape)
            better = length >= longest
            np.copyto(longest, length, where=better)
            np.copyto(winner, index, where=better)
        return np.array(holding, np.int64)[winner]

    def _closest(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        """(N, 2): the closest aspect ratio that is not longer than the image's, largest canvas."""
        aspects = np.array(sorted(self._by_aspect))
        shape = widths / heights
        lower = np.searchsorted(aspects, shape, side="right") - 1
        index = np.where(shape >= 1, lower, np.minimum(lower + 1, len(aspects) - 1))
        largest = [
            max(self._by_aspect[aspect], key=lambda grid: grid[0] * grid[1]) for aspect in aspects
        ]
        return np.array(largest, np.int64)[index]

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self.grids(heights, widths)
        images = grids[:, 0] * grids[:, 1] + 1
        none = np.zeros(len(images), np.int64)
        return ImagePlans(
            grids, images, images * self.tokens_per_image, none, none.astype(np.bool_)
        )


FAMILY = Family(
    (
        Preset(
            "plm",
            "class defaults (448, 36 tiles, pooling 2)",
            PerceptionLmGeometry(crop_size=448, tokens_per_image=256),
        ),
    ),
)
