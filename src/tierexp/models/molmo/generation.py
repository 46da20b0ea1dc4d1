"""Greedy generation with a key-value cache.

In: a network, a batch of prompts padded on the left, and the images' features. Out: token ids.
Knows nothing about text: what ends an answer is an id.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.prefill import prefill
from tierexp.models.protocol import ModelInputs
from tierexp.models.stages import UNTIMED, StageClock


def generate_greedily(
    model: Molmo,
    inputs: ModelInputs,
    vision_features: Tensor,
    max_new_tokens: int,
    knobs: DecoderKnobs,
    end_of_text_id: int | None,
    clock: StageClock = UNTIMED,
    fixed_length: bool = False,
    observer: AnswerObserver = UNOBSERVED,
) -> Tensor:
    """The likeliest next token, again and again.

    Args:
        model: In the mode and precision it is to run in.
        inputs: The prompts; of their images not the pixels, which have been encoded.
        vision_features: (I, N, K, C), from `Molmo.vision_features`.
        max_new_tokens: The longest answer, at least 1.
        knobs: What of the decoder runs.
        end_of_text_id: Ends an answer; None lets every answer run to its longest.
        clock: Is told when prefill and decoding begin and end.
        fixed_length: Go on to `max_new_tokens` when all rows have ended.
        observer: Is told what every token was chosen from.

    Returns:
        (B, L <= max_new_tokens) int64; after the end of text a row holds only end-of-text ids,
        and generation stops when all rows have ended.
    """
    batch, end = len(inputs.input_ids), end_of_text_id
    with clock.stage("prefill"):
        prompts = prefill(model, inputs, vision_features, max_new_tokens, knobs)
        cache, mask = prompts.cache, prompts.mask
        if mask is not None:
            # Answers are never padding, so the whole mask is known before the first token is.
            mask = torch.cat([mask, mask.new_ones(batch, max_new_tokens)], dim=1)
        token = prompts.logits.argmax(dim=-1)  # (B,)
        observer.chosen(prompts.logits, token, None)
    answers = [token]
    with clock.stage("decode"):
        finished = torch.zeros(batch, dtype=torch.bool, device=token.device)
        while len(answers) < max_new_tokens:
            if end is not None:
                finished |= token == end
                if not fixed_length and bool(finished.all()):
                    break
            seen = cache.length + 1
            logits = model.decode(
                token.unsqueeze(1),
                attention_mask=None if mask is None else mask[:, :seen],
                active_blocks=knobs.active_blocks,
                top_k=knobs.top_k,
                cache=cache,
            )
            token = logits[:, -1].argmax(dim=-1)
            if end is not None:
                token = token.masked_fill(finished, end)
            observer.chosen(logits[:, -1], token, None if end is None else ~finished)
            answers.append(token)
    return torch.stack(answers, dim=1)
