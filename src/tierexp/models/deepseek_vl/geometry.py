"""DeepSeek-VL ("DeepSeek-VL", 2024): every image is padded to one square."""

from __future__ import annotations

from tierexp.models.plans.family import Family
from tierexp.models.plans.fixed_tokens import FixedTokens
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (Preset("deepseek_vl", "class defaults", FixedTokens(384, 576)),),
)
