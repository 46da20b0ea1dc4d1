"""What encoding images costs in Idefics3, and in SmolVLM2. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import patches, projected


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Of images, as patches: see `LibraryClasses`."""
    merged = config.scale_factor**2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, patches(grids) // merged, merged * width, text)
