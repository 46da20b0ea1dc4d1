"""Cohere2 Vision (Command A Vision, 2025): the crops that scale an image least, the global view
last, a line break after every image. `min_patches` has no effect in the processor, and none here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.family import Family
from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.least_scaling import least_scaling_grids
from tierexp.models.plans.plan import Grid, Preset, Sides


@dataclass(frozen=True)
class Cohere2VisionGeometry(CropFamily):
    """Crops of the canvas that scales an image least.

    Args:
        max_patches: Most crops; the global view comes on top.
    """

    max_patches: int = 12

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_by_count(1, self.max_patches)

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        return least_scaling_grids(heights, widths, self._candidates, self.crop_size)


FAMILY = Family(
    (
        Preset(
            "cohere2",
            "class defaults (512, 1 to 12)",
            Cohere2VisionGeometry(
                crop_size=512, tokens_per_image=256, fixed_marks=2, marks_per_image=1
            ),
        ),
    ),
)
