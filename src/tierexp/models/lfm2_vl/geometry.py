"""LFM2-VL (2025): an image of up to about 512 cells is resized to at most 256 of them; a larger one
is cut into tiles of the closest aspect ratio, the resized image last.

The cap on tokens also decides what is large: lowering it makes more images tiled, and dearer. The
names of tiles are text to a tokenizer that does not know them, a token a byte, as counted here; the
released tokenizers have one token for each (`named_tiles`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.closest_aspect import closest_aspect_grids
from tierexp.models.plans.crops import grids_in_set_order
from tierexp.models.plans.family import Family
from tierexp.models.plans.pixel_range import cells_in_pixel_range
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlans, Preset, Sides, Size
from tierexp.tiers.geometry import GlobalView

_TILE_NAME = len("<|img_row_1_col_1|>")


@dataclass(frozen=True)
class Lfm2VlGeometry(FamilyGeometry):
    """One resized image, or tiles and the resized image.

    Args:
        tile_size: Side of a tile, in pixels.
        cell_size: Side of a cell, in pixels.
        min_tiles: Fewest tiles of a large image.
        max_tiles: Most tiles.
        min_image_tokens: Fewest tokens of the resized image.
        max_image_tokens: Most tokens of it.
        max_pixels_tolerance: How many times more than those an image may have before it is large.
        do_image_splitting: Whether large images are tiled.
        named_tiles: Whether the tokenizer has a token for the name of a tile.
    """

    global_view: ClassVar[GlobalView] = "last"

    tile_size: int = 512
    cell_size: int = 32
    min_tiles: int = 2
    max_tiles: int = 10
    min_image_tokens: int = 64
    max_image_tokens: int = 256
    max_pixels_tolerance: float = 2.0
    do_image_splitting: bool = True
    named_tiles: bool = False

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_in_set_order(self.min_tiles, self.max_tiles)

    def _large(self, heights: Sides, widths: Sides) -> NDArray[np.bool_]:
        half = self.cell_size // 2
        rows, cols = (
            np.maximum(np.rint(sides / self.cell_size) * self.cell_size, half)
            for sides in (heights, widths)
        )
        most = self.max_image_tokens * self.cell_size**2 * self.max_pixels_tolerance
        large: NDArray[np.bool_] = rows * cols > most
        return large & self.do_image_splitting

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        area = self.cell_size**2
        rows, cols = cells_in_pixel_range(
            heights,
            widths,
            self.cell_size,
            self.min_image_tokens * area,
            self.max_image_tokens * area,
            at_least_one=True,
        )
        grids = closest_aspect_grids(heights, widths, self._candidates, self.tile_size)
        grids[~self._large(heights, widths)] = 1
        tiles = grids[:, 0] * grids[:, 1]
        tiled = tiles > 1
        tile_tokens = (self.tile_size // self.cell_size) ** 2
        names = tiles if self.named_tiles else self._name_bytes(grids)
        return ImagePlans(
            grids,
            tiles + tiled,
            rows * cols + np.where(tiled, tiles * tile_tokens, 0),
            # Start and end; the names of the tiles and of the resized image.
            2 + np.where(tiled, names + 1, 0),
            np.zeros(len(tiles), np.bool_),
        )

    @staticmethod
    def _name_bytes(grids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,): bytes of the names of all tiles; row and column 10 have a digit more."""
        rows, cols = grids[:, 0], grids[:, 1]
        tiles_with_two_digits = np.where(rows > 9, rows - 9, 0) * cols
        tiles_with_two_digits += np.where(cols > 9, cols - 9, 0) * rows
        names: NDArray[np.int64] = rows * cols * _TILE_NAME + tiles_with_two_digits
        return names

    @override
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        del max_tokens
        return [(1, 1), *self._candidates]

    @override
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        return [(self.tile_size * rows, self.tile_size * cols) for rows, cols in grids]


FAMILY = Family(
    (Preset("lfm2_vl", "class defaults", Lfm2VlGeometry()),),
)
