"""Llama 3.2 Vision (Mllama, 2024): tiles of the canvas that scales an image least, without a global
view.

Its language model reads an image through cross-attention: one placeholder stands in the sequence,
and `vision_tokens` are the 1,601 states of every real tile that it attends to. The encoder always
sees four tiles: the missing ones are padding, masked out later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.models.family import Family
from tierexp.models.plans.crops import CropFamily, grids_by_count
from tierexp.models.plans.least_scaling import least_scaling_grids
from tierexp.models.plans.plan import Grid, ImagePlans, Preset, Sides
from tierexp.tiers.geometry import GlobalView


@dataclass(frozen=True)
class MllamaGeometry(CropFamily):
    """Tiles of the canvas that scales an image least, padded to a fixed number.

    Args:
        max_image_tiles: Most tiles, and what the encoder sees of every image.
    """

    global_view: ClassVar[GlobalView] = "none"

    max_image_tiles: int = 4

    @cached_property
    def _candidates(self) -> list[Grid]:
        return grids_by_count(1, self.max_image_tiles)

    @override
    def all_grids(self) -> Iterable[Grid]:
        return self._candidates

    @override
    def grids(self, heights: Sides, widths: Sides) -> NDArray[np.int64]:
        return least_scaling_grids(heights, widths, self._candidates, self.crop_size)

    @override
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        grids = self.grids(heights, widths)
        ones = np.ones(len(grids), np.int64)
        return ImagePlans(
            grids,
            ones * self.max_image_tiles,
            grids[:, 0] * grids[:, 1] * self.tokens_per_image,
            ones * self.fixed_marks,
            np.zeros(len(grids), np.bool_),
        )


FAMILY = Family(
    (
        Preset(
            "mllama",
            "560, up to 4 tiles",
            # Marks: the start of the sequence and the placeholder.
            MllamaGeometry(crop_size=560, tokens_per_image=1601, fixed_marks=2),
        ),
    ),
)
