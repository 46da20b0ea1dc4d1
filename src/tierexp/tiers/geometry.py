"""All pixel and token arithmetic of overlapping crops, from four numbers.

In: the crop size, the patch size, the overlap margins and the pooling window of a
Molmo-style vision-language model. Out: every derived size, so that no number is written
twice anywhere else. Heights come before widths; a tiling is `(rows, cols)`.

Follows the image preprocessing of "Molmo and PixMo" (2024), section 2. Knows nothing about
tiers, images or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import choice
from tierexp.errors import ConfigError

Tiling = tuple[int, int]
"""Rows and columns of crops."""

GlobalView = Literal["first", "last", "none"]
"""Where the view of the whole image stands among the crops, in the encoder's input and in the
prompt; `none` where there is none, as of images taken at their own resolution.
"""

Counts = TypeVar("Counts", int, NDArray[np.int64])
View = TypeVar("View")

MAX_CROPS = 100
"""The most crops a tier can have: 14,544 tokens of Molmo's, more than a released model reads. The
table of a tier takes seconds to compile from here on.
"""


@dataclass(frozen=True)
class CropGeometry:
    """Sizes of the overlapping crops an image is cut into.

    Args:
        crop_size: Side of a square crop, in pixels.
        patch_size: Side of a square patch, in pixels.
        overlap_margins: Patches of a crop's leading (top, left) and trailing (bottom, right)
            margin. Neighbouring crops overlap by the sum of both.
        pooling: Patches pooled into one vision token, (height, width), crop by crop.
        global_view: Where the view of the whole image, of a crop's size, stands among the crops.

    Raises:
        ConfigError: A size is not positive, the patch does not divide the crop, or the margins
            leave no window, or the place of the global view is unknown.
    """

    crop_size: int = 336
    patch_size: int = 14
    overlap_margins: tuple[int, int] = (4, 4)
    pooling: tuple[int, int] = (2, 2)
    global_view: GlobalView = "first"

    def __post_init__(self) -> None:
        object.__setattr__(self, "overlap_margins", tuple(self.overlap_margins))
        object.__setattr__(self, "pooling", tuple(self.pooling))
        if self.patch_size < 1:
            raise ConfigError("geometry.patch_size", self.patch_size, "at least 1 pixel")
        if self.crop_size < 1 or self.crop_size % self.patch_size:
            raise ConfigError(
                "geometry.crop_size",
                self.crop_size,
                f"a positive multiple of geometry.patch_size ({self.patch_size})",
            )
        if len(self.pooling) != 2 or min(self.pooling) < 1:
            raise ConfigError("geometry.pooling", self.pooling, "two numbers of patches, each >= 1")
        margins = self.overlap_margins
        if len(margins) != 2 or min(margins) < 0 or sum(margins) >= self.patches_per_side:
            raise ConfigError(
                "geometry.overlap_margins",
                margins,
                f"two numbers of patches, each >= 0, sum below {self.patches_per_side}",
            )

        choice("geometry.global_view", self.global_view, get_args(GlobalView))

    @cached_property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop."""
        return self.crop_size // self.patch_size

    @cached_property
    def patches_per_crop(self) -> int:
        """Patches of one crop."""
        return self.patches_per_side**2

    @cached_property
    def window_patches(self) -> int:
        """Patches along one side of a crop less its margins."""
        return self.patches_per_side - sum(self.overlap_margins)

    @cached_property
    def window_size(self) -> int:
        """Side of a crop less its margins, in pixels: the step between neighbouring crops."""
        return self.window_patches * self.patch_size

    @cached_property
    def margin_size(self) -> int:
        """Both margins together, in pixels: what a canvas has beyond its windows, per axis."""
        return sum(self.overlap_margins) * self.patch_size

    @cached_property
    def token_grid(self) -> tuple[int, int]:
        """Vision tokens of one crop, (rows, cols); a partial pooling window counts."""
        side = self.patches_per_side
        return -(-side // self.pooling[0]), -(-side // self.pooling[1])

    @cached_property
    def tokens_per_crop(self) -> int:
        """Vision tokens of one crop."""
        rows, cols = self.token_grid
        return rows * cols

    def canvas_size(self, tiling: Tiling) -> tuple[int, int]:
        """Pixels (height, width) that the crops of `tiling` cover together, margins included."""
        rows, cols = tiling
        return (
            self.window_size * rows + self.margin_size,
            self.window_size * cols + self.margin_size,
        )

    def window_resolution(self, tiling: Tiling) -> tuple[int, int]:
        """Pixels (height, width) of the windows of `tiling`, margins left out."""
        return self.window_size * tiling[0], self.window_size * tiling[1]

    def kept_patches(self, index: int, count: int) -> tuple[int, int]:
        """Patches `[start, stop)` of crop `index` of `count` along one axis that are not given up
        to a neighbour: the window, and the outer margins of the first and the last crop.
        """
        leading, trailing = self.overlap_margins
        start = 0 if index == 0 else leading
        stop = self.patches_per_side - (0 if index == count - 1 else trailing)
        return start, stop

    @cached_property
    def global_views(self) -> int:
        """Global views of an image: one, or none."""
        return 0 if self.global_view == "none" else 1

    def views(self, crops: Counts) -> Counts:
        """What the encoder sees of an image of `crops` crops: those, and the global view. Of one
        image or, as an array, of many.
        """
        return crops + self.global_views

    def in_order(self, view: View, crops: Sequence[View]) -> list[View]:
        """Something of the global view and of the crops, as they follow each other.

        Args:
            view: What belongs to the global view; left out where there is none.
            crops: What belongs to the crops, row by row.
        """
        match self.global_view:
            case "first":
                return [view, *crops]
            case "last":
                return [*crops, view]
            case "none":
                return list(crops)

    def selected_vision_tokens(self, crops: Counts) -> Counts:
        """The token budget of `crops` crops: theirs and the global view's."""
        return self.views(crops) * self.tokens_per_crop

    def crops_for_tokens(self, vision_tokens: int) -> int:
        """The crop count whose budget comes closest to `vision_tokens` from below, at least 1."""
        return max(1, vision_tokens // self.tokens_per_crop - self.global_views)

    def llm_grid(self, tiling: Tiling) -> tuple[int, int]:
        """Vision tokens (rows, cols) of the canvas once overlapping margins are dropped."""
        return _tokens_along(self, tiling[0], 0), _tokens_along(self, tiling[1], 1)

    def token_places(self, count: int, axis: int) -> NDArray[np.int64]:
        """Where the tokens of crops stand on the canvas once overlapping margins are dropped,
        (count, tokens of a crop) along one axis; -1 where a neighbouring crop has the token.

        Args:
            count: Crops along the axis.
            axis: 0 for rows, 1 for columns.
        """
        pool = self.pooling[axis]
        places = np.full((count, self.token_grid[axis]), -1, np.int64)
        placed = 0
        for crop in range(count):
            start, stop = self.kept_patches(crop, count)
            kept = -(-(stop - start) // pool)
            places[crop, start // pool : start // pool + kept] = np.arange(placed, placed + kept)
            placed += kept
        return places

    def llm_vision_tokens(self, tiling: Tiling) -> int:
        """Vision tokens the language model receives: the global view's and the canvas's."""
        rows, cols = self.llm_grid(tiling)
        return self.global_views * self.tokens_per_crop + rows * cols


@lru_cache(maxsize=4096)
def _tokens_along(geometry: CropGeometry, count: int, axis: int) -> int:
    """Kept, as it is asked for every image."""
    return int(geometry.token_places(count, axis).max()) + 1
