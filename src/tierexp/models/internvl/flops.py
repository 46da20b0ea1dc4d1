"""What encoding images costs in InternVL. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import patches, projected


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Of images, as patches: see `LibraryClasses`."""
    merged = round(1 / config.downsample_ratio) ** 2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, patches(grids) // merged, merged * width, text, text)
