"""Pixtral ("Pixtral 12B", 2024): whole patches of 16 pixels below a longest edge, every row with
its break, the last with the end. The image processor's own `patch_size` has no effect: the
processor gives it its own.
"""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.longest_edge import LongestEdgeFamily
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (
        Preset(
            "pixtral",
            "class defaults (patch 16, longest edge 1024)",
            LongestEdgeFamily(cell_size=16, longest_edge=1024, row_marks=1),
        ),
    ),
)
