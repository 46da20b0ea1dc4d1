"""Kimi K2.5 ("Kimi-VL", 2025, native resolution): an image of too many patches is scaled down, then
both sides are padded to whole cells. Nothing is enlarged. The cap counts patches before the
padding, so that a little more than it comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.plans.cells import CellFamily
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Preset, Sides


@dataclass(frozen=True)
class KimiGeometry(CellFamily):
    """One image, padded to whole cells of 2 x 2 patches.

    Args:
        max_patches: Images of more whole patches are scaled down.
        max_patches_per_side: So are those with a longer side.
    """

    max_patches: int = 16384
    max_patches_per_side: int = 512

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        patch = self.cell_size // 2
        longest = self.max_patches_per_side * patch
        count = np.maximum(heights // patch, 1) * np.maximum(widths // patch, 1)
        scale = np.minimum(np.sqrt(self.max_patches / count), 1.0)
        scale = np.minimum(scale, np.minimum(longest / heights, longest / widths))
        rows, cols = (
            -(-np.clip((sides * scale).astype(np.int64), 1, longest) // self.cell_size)
            for sides in (heights, widths)
        )
        return rows, cols, np.zeros(len(rows), np.bool_)


FAMILY = Family(
    (Preset("kimi_k25", "class defaults", KimiGeometry(28)),),
)
