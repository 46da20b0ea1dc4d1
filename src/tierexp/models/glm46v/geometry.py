"""GLM-4.6V (2025): GLM-4.1V's rule and settings."""

from __future__ import annotations

from tierexp.models.glm4v.geometry import Glm4vGeometry
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Preset

FAMILY = Family(
    (Preset("glm46v", "class defaults", Glm4vGeometry(28)),),
)
