"""What encoding images costs in Gemma 3. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import projected


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Of images, as patches: see `LibraryClasses`."""
    tokens = len(grids) * config.mm_tokens_per_image
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, tokens, width, text)
