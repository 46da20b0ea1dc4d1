"""Aria ("Aria", 2024), not splitting: every image is padded to one square."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.fixed_tokens import FixedTokens
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (Preset("aria", "class defaults, no splitting", FixedTokens(980, 256)),),
)
