"""What answering costs, from the model's sizes and the prompt's lengths alone.

In: a configuration, crops, tokens and knobs. Out: floating-point operations of each stage. Counted
as torch's own counter counts: matrix products only, two for a multiplication and its addition, and
attention in full, also where a causal mask hides half of it, of which a CPU leaves out some, and
views in full, also the tokens that a neighbouring crop gives, which a CPU leaves out of the last
block. What a CPU's experts are padded to (`experts.turns`) is not counted. Imports no torch.
"""

from __future__ import annotations

from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.sizes import DecoderConfig
from tierexp.models.stages import StageFlops


def stage_flops(
    config: MolmoConfig,
    views: int,
    prompt_tokens: int,
    new_tokens: int,
    num_active_blocks: int,
    top_k: int | None,
    left: tuple[int, int] | None = None,
) -> StageFlops:
    """The cost of one prompt's answer.

    Args:
        config: All sizes.
        views: Crops, the global view included.
        prompt_tokens: Tokens of the prompt, the vision tokens that the decoder receives
            included.
        new_tokens: New tokens of the answer, the end of text included; at least 1.
        num_active_blocks: Decoder blocks that run.
        top_k: Experts per token; None for a dense model.
        left: (blocks, tokens): after so many blocks, so many of the prompt's tokens are left; None
            where all blocks see all.
    """
    decoder, head = config.decoder, 2 * config.decoder.width * config.decoder.vocab_size
    per_token = _block_per_token(decoder, top_k)
    after, late_tokens = left or (num_active_blocks, 0)
    parts = ((after, prompt_tokens), (num_active_blocks - after, late_tokens))
    # The i-th token after the first sees the prompt and i tokens of the answer.
    later = new_tokens - 1
    prefill, decode = head, later * head
    for blocks, tokens in parts:
        keys = later * tokens + later * (later + 1) // 2
        prefill += blocks * (tokens * per_token + 4 * tokens * tokens * decoder.width)
        decode += blocks * (later * per_token + 4 * keys * decoder.width)
    return StageFlops(views * _vision_per_view(config), prefill, decode)


def _block_per_token(config: DecoderConfig, top_k: int | None) -> int:
    width, kv_width = config.width, config.num_kv_heads * config.head_dim
    projections = 2 * width * (width + 2 * kv_width) + 2 * width * width
    gated = 6 * width * config.mlp_width
    if config.num_experts is None or top_k is None:
        return projections + gated
    routing = 2 * width * config.num_experts + 2 * top_k * width
    return projections + routing + top_k * gated


def _vision_per_view(config: MolmoConfig) -> int:
    vision, (window_rows, window_cols) = config.vision, config.connector.pooling
    width, side = vision.width, vision.patches_per_side
    patches, window = side * side, window_rows * window_cols
    tokens = -(-side // window_rows) * -(-side // window_cols)
    # The class token goes through the blocks; those above the last feature layer do not run.
    seen = patches + 1
    blocks = max(layer % vision.num_layers for layer in vision.feature_layers) + 1
    block = seen * (8 * width * width + 4 * width * vision.mlp_width) + 4 * seen * seen * width
    embedding = 2 * patches * vision.patch_size**2 * 3 * width
    query_key_value = 2 * tokens * (1 + 2 * window) * vision.feature_width * width
    pooling = query_key_value + 4 * tokens * window * width + 2 * tokens * width * width
    hidden = config.connector.hidden_width
    projector = 2 * tokens * hidden * (2 * width + config.decoder.width)
    return embedding + blocks * block + pooling + projector
