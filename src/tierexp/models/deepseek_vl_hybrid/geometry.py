"""DeepSeek-VL with two encoders ("DeepSeek-VL", 2024): one square for each, one set of tokens."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.fixed_tokens import FixedTokens
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (Preset("deepseek_vl_hybrid", "class defaults", FixedTokens(384, 576)),),
)
