"""What an answer of a model of `transformers` costs, from its configuration and its prompt's size.

In: what the encoder costs, the library's configuration of the decoder, lengths. Out: floating-point
operations of each stage, None where it is not known how a part computes. Counted as
`tierexp.models.molmo.flops` counts: matrix products only, two for a multiplication and its
addition, and attention in full, also where a mask hides a part of it. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tierexp.models.library_decoder import key_windows
from tierexp.models.stages import StageFlops

DECODERS = frozenset({
    "cohere2", "gemma2", "gemma3_text", "llama", "mistral", "qwen2", "qwen2_5_vl_text",
    "qwen2_vl_text", "qwen3", "qwen3_vl_text",
})  # fmt: skip
"""Kinds of language models whose blocks are attention with grouped heads and a gated network."""


@dataclass(frozen=True)
class Lengths:
    """How long one prompt and its answer are.

    Args:
        prompt: Tokens, those of the image included.
        answer: New tokens, the end of text included; at least 1.
    """

    prompt: int
    answer: int

    def decoded_keys(self, window: int | None) -> int:
        """Keys that the tokens after the answer's first meet together in one block.

        Args:
            window: How many the cache holds at most, the token's own included; None for all.
        """
        met = range(self.prompt + 1, self.prompt + self.answer)
        return sum(met) if window is None else sum(min(keys, window) for keys in met)


def stage_flops(vision: int | None, decoder: Any, lengths: Lengths) -> StageFlops:
    """The cost of one prompt's answer.

    Args:
        vision: Operations of encoding its image, see `LibraryClasses.vision_flops`.
        decoder: The configuration of the language model, of the blocks that run alone.
        lengths: Lengths of prompt and answer.
    """
    if decoder.model_type not in DECODERS:
        return StageFlops(vision, None, None)
    later = lengths.answer - 1
    head = 2 * decoder.hidden_size * decoder.vocab_size
    prefill, decode = head, later * head
    per_token, per_key = _block_flops(decoder)
    for window in key_windows(decoder, decoder.num_hidden_layers):
        prefill += lengths.prompt * (per_token + per_key * lengths.prompt)
        decode += later * per_token + per_key * lengths.decoded_keys(window)
    return StageFlops(vision, prefill, decode)


def _block_flops(decoder: Any) -> tuple[int, int]:
    """Operations of one block: for a token, and for a token's look at another."""
    width: int = decoder.hidden_size
    heads: int = decoder.num_attention_heads
    head_width = getattr(decoder, "head_dim", None) or width // heads
    kv_width = decoder.num_key_value_heads * head_width
    projections = 2 * width * (2 * heads * head_width + 2 * kv_width)
    return projections + 6 * width * decoder.intermediate_size, 4 * heads * head_width
