"""What an answer of Molmo2 costs, from the model's sizes and the prompt's lengths alone.

Counted as `tierexp.models.molmo.flops` counts: matrix products only, two for a multiplication and
its addition, and attention in full, also where a mask hides a part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tierexp.models.stages import StageFlops
from tierexp.tiers.geometry import CropGeometry

if TYPE_CHECKING:
    from transformers import Molmo2Config


def stage_flops(
    config: Molmo2Config,
    geometry: CropGeometry,
    views: int,
    vision_tokens: int,
    prompt_tokens: int,
    new_tokens: int,
    num_active_blocks: int,
) -> StageFlops:
    """The cost of one prompt's answer.

    Args:
        config: All sizes.
        geometry: Patches of a crop and of a pooling window.
        views: Crops, the global view included.
        vision_tokens: That the decoder receives.
        prompt_tokens: Tokens of the prompt, the vision tokens included.
        new_tokens: New tokens of the answer, the end of text included; at least 1.
        num_active_blocks: Decoder blocks that run.
    """
    text = config.text_config
    width: int = text.hidden_size
    head_width: int = text.num_attention_heads * text.head_dim
    kv_width: int = text.num_key_value_heads * text.head_dim
    projections = 2 * width * (2 * head_width + 2 * kv_width)
    per_token = num_active_blocks * (projections + 6 * width * text.intermediate_size)
    head = 2 * width * text.vocab_size

    def attention(queries: int, keys: int) -> int:
        return num_active_blocks * 4 * queries * keys * head_width

    # The i-th token after the first sees the prompt and i tokens of the answer.
    later = new_tokens - 1
    keys = later * prompt_tokens + later * (later + 1) // 2
    return StageFlops(
        vision=views * _encoder_per_view(config, geometry)
        + vision_tokens * _adapter_per_token(config, geometry),
        prefill=prompt_tokens * per_token + attention(prompt_tokens, prompt_tokens) + head,
        decode=later * (per_token + head) + attention(1, keys),
    )


def _encoder_per_view(config: Molmo2Config, geometry: CropGeometry) -> int:
    vision, patches = config.vision_config, geometry.patches_per_crop
    width, head_width = vision.hidden_size, vision.num_attention_heads * vision.head_dim
    kv_width = vision.num_key_value_heads * vision.head_dim
    projections = 2 * width * (2 * head_width + 2 * kv_width)
    block = patches * (projections + 4 * width * vision.intermediate_size)
    block += 4 * patches * patches * head_width
    embedding = 2 * patches * vision.patch_size**2 * vision.num_channels * width
    return int(embedding + vision.num_hidden_layers * block)


def _adapter_per_token(config: Molmo2Config, geometry: CropGeometry) -> int:
    adapter, window = config.adapter_config, geometry.pooling[0] * geometry.pooling[1]
    features = config.vision_config.hidden_size * len(adapter.vision_feature_layer)
    head_width = adapter.num_attention_heads * adapter.head_dim
    kv_width = adapter.num_key_value_heads * adapter.head_dim
    pooling = 2 * features * (head_width + 2 * window * kv_width)
    pooling += 4 * window * head_width + 2 * head_width * adapter.hidden_size
    projector = 2 * adapter.intermediate_size * (2 * adapter.hidden_size + adapter.text_hidden_size)
    return int(pooling + projector)
