"""Janus ("Janus", 2024): every image is padded to one square; a start and an end."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.fixed_tokens import FixedTokens
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (Preset("janus", "class defaults", FixedTokens(384, 576, fixed_marks=2)),),
)
