"""LightOnOCR (2025): Pixtral's rule with cells of 28 pixels, without marks."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.longest_edge import LongestEdgeFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "lighton",
            "patch 28, longest edge 1540",
            LongestEdgeFamily(cell_size=28, longest_edge=1540),
        ),
    ),
)
