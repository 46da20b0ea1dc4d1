"""GLM-4.1V ("GLM-4.1V-Thinking", 2025): Qwen2-VL's rule after a side below one cell has been
enlarged to it; pixels are counted twice, once for each frame of a still image taken for a film of
two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.cells import CellFamily
from tierexp.models.plans.family import Family
from tierexp.models.plans.pixel_range import cells_in_pixel_range, too_long
from tierexp.models.plans.plan import Preset, Sides

_FRAMES = 2


@dataclass(frozen=True)
class Glm4vGeometry(CellFamily):
    """One image of whole cells within a range of pixels, each counted twice.

    Args:
        min_pixels: Images of fewer, counted twice, are enlarged.
        max_pixels: Images of more, counted twice, are made smaller.
    """

    min_pixels: int = 112 * 112
    max_pixels: int = 28 * 28 * 15000

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        tiny = (heights < self.cell_size) | (widths < self.cell_size)
        scale = np.where(tiny, np.maximum(self.cell_size / heights, self.cell_size / widths), 1.0)
        heights, widths = (heights * scale).astype(np.int64), (widths * scale).astype(np.int64)
        rows, cols = cells_in_pixel_range(
            heights, widths, self.cell_size, self.min_pixels, self.max_pixels, _FRAMES
        )
        return rows, cols, too_long(heights, widths)


FAMILY = Family(
    (Preset("glm4v", "class defaults", Glm4vGeometry(28)),),
)
