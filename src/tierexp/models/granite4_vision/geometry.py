"""Granite 4 Vision (2025): LLaVA-NeXT's rule over every grid of at most 10 crops, features halved
in both directions.
"""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.pinpoints import PinpointFamily
from tierexp.models.plans.plan import Preset

_GRIDS = tuple((rows, cols) for rows in range(1, 11) for cols in range(1, 11) if rows * cols <= 10)

FAMILY = Family(
    (
        Preset(
            "granite4",
            "384, at most 10 tiles, 4/8 downsampling",
            PinpointFamily(crop_size=384, side_tokens=12, pinpoints=_GRIDS),
        ),
    ),
)
