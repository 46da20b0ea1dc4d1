"""The encoder of Idefics3, and of SmolVLM2: how patches become tokens, and what that costs. Imports
no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import patches, projected


def merged_side(config: Any) -> int:
    """See `LibraryClasses`."""
    return int(config.scale_factor)


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Operations of encoding images, see `LibraryClasses`."""
    merged = merged_side(config) ** 2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, patches(grids) // merged, merged * width, text)
