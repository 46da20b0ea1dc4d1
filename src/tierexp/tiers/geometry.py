"""All pixel and token arithmetic of overlapping crops, from four numbers.

In: the crop size, the patch size, the overlap margins and the pooling window of a
Molmo-style vision-language model. Out: every derived size, so that no number is written
twice anywhere else. Heights come before widths; a tiling is `(rows, cols)`.

Follows the image preprocessing of "Molmo and PixMo" (2024), section 2. Knows nothing about
tiers, images or models.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tierexp.errors import ConfigError

Tiling = tuple[int, int]
"""Rows and columns of crops."""

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
        pooling: Patches pooled into one vision token, (height, width).
        pool_canvas: Patches are pooled once the crops are put back together, so that a pooling
            window may reach over two crops (Molmo2); otherwise crop by crop (Molmo).

    Raises:
        ConfigError: A size is not positive, the patch does not divide the crop, or the margins
            leave no window.
    """

    crop_size: int = 336
    patch_size: int = 14
    overlap_margins: tuple[int, int] = (4, 4)
    pooling: tuple[int, int] = (2, 2)
    pool_canvas: bool = False

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

    def selected_vision_tokens(self, crops: int) -> int:
        """The token budget of `crops` crops: theirs and the global view's."""
        return (crops + 1) * self.tokens_per_crop

    def crops_for_tokens(self, vision_tokens: int) -> int:
        """The crop count whose budget comes closest to `vision_tokens` from below, at least 1."""
        return max(1, vision_tokens // self.tokens_per_crop - 1)

    def llm_grid(self, tiling: Tiling) -> tuple[int, int]:
        """Vision tokens (rows, cols) of the canvas once overlapping margins are dropped."""

        def along(count: int, pool: int) -> int:
            if self.pool_canvas:
                return -(-(count * self.window_patches + sum(self.overlap_margins)) // pool)
            spans = (self.kept_patches(index, count) for index in range(count))
            return sum(-(-(stop - start) // pool) for start, stop in spans)

        return along(tiling[0], self.pooling[0]), along(tiling[1], self.pooling[1])

    def llm_vision_tokens(self, tiling: Tiling) -> int:
        """Vision tokens the language model receives: the global view's and the canvas's."""
        rows, cols = self.llm_grid(tiling)
        return self.tokens_per_crop + rows * cols
