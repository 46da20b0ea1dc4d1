"""What encoding images costs in Qwen3-VL. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.qwen2_vl.encoder import qwen_flops
from tierexp.models.transformers_family.encoder_flops import encoder_flops


def vision_flops(config: Any, grids: Sequence[Grid]) -> int:
    """Operations of encoding images, see `LibraryClasses`."""
    vision = config.vision_config
    width: int = vision.hidden_size
    block = encoder_flops(map(prod, grids), width, vision.intermediate_size)
    mergers = 1 + len(vision.deepstack_visual_indexes)
    return qwen_flops(vision, grids, width, vision.depth * block, vision.out_hidden_size, mergers)
