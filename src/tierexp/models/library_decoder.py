"""What every decoder of `transformers` has in common: a list of blocks, and a cache of keys and
values for each of them. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def decoder_of(network: Any) -> Any:
    """The language model of a vision-language model, without its head."""
    inner = network.model
    return inner.language_model if hasattr(inner, "language_model") else inner.text_model


def keep_blocks(decoder: Any, every: Any, numbers: Sequence[int]) -> None:
    """Have a decoder run some of its blocks, the others cost neither time nor cache.

    Args:
        decoder: The library's.
        every: A `ModuleList` of all of its blocks.
        numbers: Numbers of those that run, ascending.
    """
    running: list[Any] = [every[number] for number in numbers]
    for place, block in enumerate(running):
        # Where the block's keys and values are in the cache.
        block.self_attn.layer_idx = place
    decoder.layers = type(every)(running)


def cache_bytes(decoder: Any, blocks: int, tokens: int, itemsize: int) -> int:
    """What the keys and values of one sequence take.

    Args:
        decoder: The configuration of the language model.
        blocks: That run; where they differ, it is the configuration of these alone.
        tokens: That were read.
        itemsize: Bytes of a number.
    """
    width = getattr(decoder, "head_dim", None)
    width = width or decoder.hidden_size // decoder.num_attention_heads
    places = sum(
        # A block that looks back a window keeps what the next token will see of it.
        tokens if window is None else min(tokens, window - 1)
        for window in key_windows(decoder, blocks)
    )
    return int(2 * places * decoder.num_key_value_heads * width * itemsize)


def key_windows(decoder: Any, blocks: int) -> list[int | None]:
    """How many keys each block looks at, at most, a token's own included; None for all.

    Args:
        decoder: The configuration of the language model.
        blocks: That run.
    """
    window: int | None = getattr(decoder, "sliding_window", None)
    kinds: Sequence[str] | None = getattr(decoder, "layer_types", None)
    if kinds is None:
        return [window] * blocks
    return [window if kind == "sliding_attention" else None for kind in kinds]
