"""What encoding images costs in Qwen2-VL, and in those after it. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import (
    encoder_flops,
    linear_flops,
    patches,
)


def vision_flops(config: Any, grids: Sequence[Grid]) -> int:
    """Operations of encoding images, see `LibraryClasses`."""
    vision = config.vision_config
    width: int = vision.embed_dim
    block = encoder_flops(map(prod, grids), width, int(width * vision.mlp_ratio))
    return qwen_flops(vision, grids, width, vision.depth * block, vision.hidden_size)


def qwen_flops(
    vision: Any, grids: Sequence[Grid], width: int, blocks: int, out: int, mergers: int = 1
) -> int:
    """Patches of an image taken twice, as of a film; blocks; what merges patches into tokens.

    Args:
        vision: The encoder's configuration.
        grids: Rows and columns of patches of every image.
        width: Width of a patch in the encoder.
        blocks: Operations of all blocks.
        out: The language model's width.
        mergers: How many there are.
    """
    volume = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    merged = vision.spatial_merge_size**2
    number = patches(grids)
    merger = linear_flops(number // merged, merged * width, merged * width, out)
    return int(linear_flops(number, volume, width) + blocks + mergers * merger)
