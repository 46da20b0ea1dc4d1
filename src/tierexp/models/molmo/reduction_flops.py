"""What deciding which vision tokens to keep costs, counted as in `flops`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.models.knobs.reduction.flops import comparing_flops
from tierexp.models.knobs.reduction.settings import FastV, Reduction
from tierexp.models.molmo.config import MolmoConfig


@dataclass(frozen=True)
class PromptTokens:
    """Lengths of one prompt.

    Args:
        total: Its tokens, all vision tokens included.
        vision: The vision tokens.
        question: The tokens behind them.
    """

    total: int
    vision: int
    question: int


def encoder_flops(config: MolmoConfig, reduction: Reduction, views: int) -> int:
    """Added to the encoder's, in `views` views: the class token's attention weights."""
    if reduction.method not in ("cls_attention", "vision_zip", "merge"):
        return 0
    vision = config.vision
    return 2 * views * (vision.patches_per_side**2 + 1) * vision.width


def deciding_flops(config: MolmoConfig, reduction: Reduction, tokens: PromptTokens) -> int:
    """Added to the prefill's: what of one prompt's vision tokens is compared."""
    found, kept = tokens.vision, reduction.count(tokens.vision)
    if kept == found:
        return 0
    decoder = config.decoder
    width = decoder.width
    key_width = config.vision.width // config.vision.num_heads
    match reduction.method:
        case "fastv":
            assert isinstance(reduction, FastV)
            asking = 1 if reduction.received_from == "last" else tokens.total
            relevance = 0
        case "text":
            asking = tokens.question
            relevance = 2 * found * tokens.question * width
        case _:
            return comparing_flops(reduction, found, width, key_width)
    projected = 2 * width * (width + 2 * decoder.num_kv_heads * decoder.head_dim)
    # Their queries, what these attend to, and the mean of that.
    return relevance + asking * (projected + 2 * tokens.total * width + 2 * tokens.total)
