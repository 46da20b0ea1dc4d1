"""Emu3 ("Emu3: Next-Token Prediction is All You Need", 2024): Qwen2-VL's rule with cells of 8
pixels; the language model reads a line break after every row, and marks that spell the grid out.

The processor of transformers 5.24.0 takes an image 1 or 3 pixels high for an array whose channels
come first, and its columns and colours for rows and columns. The plan follows the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.family import Family
from tierexp.models.plans.pixel_range import PixelRangeFamily
from tierexp.models.plans.plan import Preset, Sides

_COLOURS = 3
_CHANNELS = (1, 3)
"""Heights that look like numbers of channels."""


def _digits(numbers: Sides) -> NDArray[np.int64]:
    return np.floor(np.log10(np.maximum(numbers, 1)) + 1e-9).astype(np.int64) + 1


@dataclass(frozen=True)
class Emu3Geometry(PixelRangeFamily):
    """One image of whole cells, a line break after every row."""

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        misread = np.isin(heights, _CHANNELS)
        return super().cells(
            np.where(misread, widths, heights), np.where(misread, _COLOURS, widths)
        )

    @override
    def tokens(self, rows: Sides, cols: Sides) -> Sides:
        return rows * (cols + 1)

    @override
    def marks(self, rows: Sides, cols: Sides) -> Sides:
        # Start of sequence, start, separator, end of frame, end, and "rows*cols", a token a byte.
        return 6 + _digits(rows) + _digits(cols)


FAMILY = Family(
    (
        Preset(
            "emu3",
            "class defaults",
            Emu3Geometry(cell_size=8, min_pixels=512 * 512, max_pixels=1024 * 1024),
        ),
    ),
)
