"""Mistral 3 (Mistral Small 3.1, 2025): Pixtral's rule with four patches of 14 pixels to a cell."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.longest_edge import LongestEdgeFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "mistral3",
            "patch 14, merge 2, longest edge 1540",
            LongestEdgeFamily(cell_size=28, longest_edge=1540, row_marks=1),
        ),
    ),
)
