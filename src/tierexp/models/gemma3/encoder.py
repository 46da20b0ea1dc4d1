"""Gemma 3's encoder: how patches become tokens, and what that costs. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import projected


def merged_side(config: Any) -> int:
    """See `LibraryClasses`."""
    vision = config.vision_config
    return int(vision.image_size // vision.patch_size // isqrt(config.mm_tokens_per_image))


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Operations of encoding images, see `LibraryClasses`."""
    tokens = len(grids) * config.mm_tokens_per_image
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, tokens, width, text)
