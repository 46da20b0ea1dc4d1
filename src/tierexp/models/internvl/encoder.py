"""InternVL's encoder: how patches become tokens, what that costs, and where its class token looks.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import patches, projected


def merged_side(config: Any) -> int:
    """See `LibraryClasses`."""
    return round(1 / float(config.downsample_ratio))


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Operations of encoding images, see `LibraryClasses`."""
    merged = merged_side(config) ** 2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, patches(grids) // merged, merged * width, text, text)


def class_token(network: Any) -> tuple[Any, int]:
    """See `LibraryClasses`: of the block whose output is used."""
    config = network.config
    layer = config.vision_feature_layer
    blocks = network.model.vision_tower.encoder.layer
    side = config.vision_config.image_size[0] // config.vision_config.patch_size[0]
    # Hidden states begin with what enters the first block.
    return blocks[layer if layer < 0 else layer - 1].attention, side
