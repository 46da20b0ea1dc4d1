"""Greedy generation with a key-value cache.

In: a model, a batch of prompts padded on the left, and the images' features. Out: token ids.
Knows nothing about text: what ends an answer is the model's `end_of_text_id`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.protocol import ModelInputs
from tierexp.models.stages import UNTIMED, StageClock

if TYPE_CHECKING:
    from tierexp.models.molmo.model import Molmo


def generate_greedily(
    model: Molmo,
    inputs: ModelInputs,
    image_features: Tensor,
    max_new_tokens: int,
    clock: StageClock = UNTIMED,
    fixed_length: bool = False,
) -> Tensor:
    """The likeliest next token, again and again.

    Args:
        model: In the mode and precision it is to run in.
        inputs: The prompts; of the images only `image_input_idx` is used.
        image_features: (B, N, K, C), from `Molmo.vision_features`.
        max_new_tokens: The longest answer.
        clock: Is told when prefill and decoding begin and end.
        fixed_length: Go on to `max_new_tokens` when all rows have ended.

    Returns:
        (B, L <= max_new_tokens) int64; after the end of text a row holds only end-of-text ids,
        and generation stops when all rows have ended.
    """
    input_ids, attention_mask = inputs.input_ids, inputs.attention_mask
    batch, length = input_ids.shape
    end = model.end_of_text_id
    with clock.stage("prefill"):
        cache = KeyValueCache(
            model.config.decoder,
            batch,
            length + max_new_tokens,
            input_ids.device,
            image_features.dtype,
            model.active_blocks,
        )
        unpadded = bool(attention_mask.all())
        # Answers are never padding, so the whole mask is known before the first token is.
        mask = attention_mask.new_ones(batch, length + max_new_tokens)
        mask[:, :length] = attention_mask
        logits = model.decode(
            input_ids,
            image_features,
            inputs.image_input_idx,
            attention_mask=None if unpadded else mask[:, :length],
            logits_at=input_ids.new_full((batch, 1), length - 1),
            cache=cache,
        )
        token = logits[:, -1].argmax(dim=-1)  # (B,)
    answers = [token]
    with clock.stage("decode"):
        finished = torch.zeros(batch, dtype=torch.bool, device=input_ids.device)
        while len(answers) < max_new_tokens:
            if end is not None:
                finished |= token == end
                if not fixed_length and bool(finished.all()):
                    break
            seen = cache.length + 1
            logits = model.decode(
                token.unsqueeze(1), attention_mask=None if unpadded else mask[:, :seen], cache=cache
            )
            token = logits[:, -1].argmax(dim=-1)
            if end is not None:
                token = token.masked_fill(finished, end)
            answers.append(token)
    return torch.stack(answers, dim=1)
