"""DeepSeek-OCR ("DeepSeek-OCR: Contexts Optical Compression", 2025) at its dynamic setting: a
padded global view of 1,024 pixels, and for images above 640 pixels two to nine crops of 640 of the
closest aspect ratio. A line break ends every row of tokens, a separator the view; both are
placeholders.

transformers has no processor for it: the plan follows the code published with the checkpoint. The
crops come before the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from tierexp.models.plans.crops import grids_in_set_order
from tierexp.models.plans.family import Family
from tierexp.models.plans.large_images import LargeImageCrops
from tierexp.models.plans.plan import Grid, Preset, Sides


@dataclass(frozen=True)
class DeepseekOcrGeometry(LargeImageCrops):
    """A line break after every row of tokens, of the crops' common grid, too."""

    @override
    def candidates(self) -> Sequence[Grid]:
        return grids_in_set_order(self.min_crops, self.max_crops)

    @override
    def view_tokens(self) -> int:
        side = self.view_size // self.cell_size
        return side * (side + 1) + 1

    @override
    def crop_tokens(self, rows: Sides, cols: Sides) -> Sides:
        side = self.crop_size // self.cell_size
        return rows * side * (cols * side + 1)


FAMILY = Family(
    (
        Preset(
            "deepseek_ocr",
            "base 1024, crops of 640, 2 to 9 of them",
            # The mark is the start of the sequence.
            DeepseekOcrGeometry(
                crop_size=640, view_size=1024, cell_size=64, min_crops=2, max_crops=9, marks=1
            ),
            follows="the code published with the checkpoint",
        ),
    ),
)
