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

if TYPE_CHECKING:
    from tierexp.models.molmo.model import Molmo


def generate_greedily(
    model: Molmo, inputs: ModelInputs, image_features: Tensor, max_new_tokens: int
) -> Tensor:
    """The likeliest next token, again and again.

    Args:
        model: In the mode and precision it is to run in.
        inputs: The prompts; of the images only `image_input_idx` is used.
        image_features: (B, N, K, C), from `Molmo.vision_features`.
        max_new_tokens: The longest answer.

    Returns:
        (B, L <= max_new_tokens) int64; after the end of text a row holds only end-of-text ids,
        and generation stops when all rows have ended.
    """
    input_ids, attention_mask = inputs.input_ids, inputs.attention_mask
    batch, length = input_ids.shape
    capacity = length + max_new_tokens
    cache = KeyValueCache(
        model.config.decoder,
        batch,
        capacity,
        input_ids.device,
        image_features.dtype,
        model.active_blocks,
    )
    unpadded = bool(attention_mask.all())
    # Answers are never padding, so the whole mask is known before the first token is.
    mask = torch.ones(batch, capacity, dtype=torch.bool, device=input_ids.device)
    mask[:, :length] = attention_mask

    last = torch.full((batch, 1), length - 1, device=input_ids.device)
    logits = model.decode(
        input_ids,
        image_features,
        inputs.image_input_idx,
        attention_mask=None if unpadded else mask[:, :length],
        logits_at=last,
        cache=cache,
    )
    answers = []
    finished = torch.zeros(batch, dtype=torch.bool, device=input_ids.device)
    while True:
        token = logits[:, -1].argmax(dim=-1)  # (B,)
        if model.end_of_text_id is not None:
            token = token.masked_fill(finished, model.end_of_text_id)
            finished |= token == model.end_of_text_id
        answers.append(token)
        if len(answers) == max_new_tokens or bool(finished.all()):
            return torch.stack(answers, dim=1)
        seen = cache.length + 1
        logits = model.decode(
            token.unsqueeze(1), attention_mask=None if unpadded else mask[:, :seen], cache=cache
        )
