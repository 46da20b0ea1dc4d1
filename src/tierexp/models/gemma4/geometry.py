"""Gemma 4: an image is scaled, up or down, to fill a budget of soft tokens, sides rounded
down to whole cells of three patches. Five budgets exist, and size alone does not change what an
image costs: a tier sets the budget too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.errors import ConfigError
from tierexp.models.plans.cells import CellFamily
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Preset, Sides, Variant

SOFT_TOKENS = (70, 140, 280, 560, 1120)
"""The budgets that the processor takes."""


@dataclass(frozen=True)
class Gemma4Geometry(CellFamily):
    """One image that fills a budget.

    Args:
        max_soft_tokens: The budget, one of `SOFT_TOKENS`.

    Raises:
        ConfigError: There is no such budget.
    """

    max_soft_tokens: int = 280

    def __post_init__(self) -> None:
        if self.max_soft_tokens not in SOFT_TOKENS:
            raise ConfigError("max_soft_tokens", self.max_soft_tokens, f"one of {SOFT_TOKENS}")

    @override
    def cells(
        self, heights: Sides, widths: Sides
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        budget = self.max_soft_tokens
        factor = np.sqrt(budget * self.cell_size**2 / (heights * widths))
        rows, cols = (
            np.floor(factor * sides / self.cell_size).astype(np.int64)
            for sides in (heights, widths)
        )
        flat, thin = rows == 0, cols == 0
        # A side without a whole cell gets one, the other what the whole ratio of the sides allows.
        long_cols = np.minimum(widths // heights, budget)
        long_rows = np.minimum(heights // widths, budget)
        rows, cols = (
            np.where(flat, 1, np.where(thin, long_rows, rows)),
            np.where(flat, long_cols, np.where(thin, 1, cols)),
        )
        return rows, cols, (flat & thin) | (rows * cols > budget)

    @override
    def marks(self, rows: Sides, cols: Sides) -> Sides:
        del cols
        return np.full_like(rows, 2)

    @override
    def variants(self, max_tokens: int) -> Sequence[Variant]:
        del max_tokens
        return [
            Variant({"max_soft_tokens": budget}, replace(self, max_soft_tokens=budget))
            for budget in SOFT_TOKENS
        ]


FAMILY = Family(
    (Preset("gemma4", "class defaults (280 soft tokens)", Gemma4Geometry(48)),),
)
