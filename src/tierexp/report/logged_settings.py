"""What a logger keeps of a run's settings, to filter and to sort runs by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierexp.config.settings import flat
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.tier import CropPolicy, Tier


def logged_settings(
    settings: Mapping[str, Any], tier: CropPolicy, geometry: CropGeometry
) -> dict[str, Any]:
    """What a logger keeps of a run's settings: flat keys to filter on, such as `model/top_k`, as
    metrics have them, and `tier_ordered`, which sorts tiers by their tokens.

    Args:
        settings: A resolved configuration.
        tier: That it describes.
        geometry: Of the model.
    """
    if isinstance(tier, Tier):
        tokens = tier.typical_vision_tokens
    else:
        tokens = geometry.selected_vision_tokens(tier.max_crops)
    kept = {k: v for k, v in flat(settings, "/").items() if not k.endswith("_target_")}
    return {"tier_ordered": f"{tokens:05d} {tier.name}"} | kept
