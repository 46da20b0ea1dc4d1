"""Greedy generation with a key-value cache.

In: a network, and what reads a batch of prompts. Out: token ids.
Knows nothing about text: what ends an answer is an id.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.decoder import DecoderKnobs, LateBlocks
from tierexp.models.molmo.model import Molmo, attention_over
from tierexp.models.molmo.prefill import Prefilled
from tierexp.models.stages import UNTIMED, StageClock


def generate_greedily(
    model: Molmo,
    prefilled: Callable[[int], Prefilled],
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
        prefilled: Reads the prompts, leaving room for so many new tokens.
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
    end = end_of_text_id
    with clock.stage("prefill"):
        prompts = prefilled(max_new_tokens)
        cache = prompts.cache
        token = prompts.logits.argmax(dim=-1)  # (B,)
        observer.chosen(prompts.logits, token, None)
        # Answers are never padding, so the whole masks are known before the first token is.
        mask = _longer(prompts.mask, max_new_tokens, True)
        bias = _longer(prompts.key_bias, max_new_tokens, 0)
        after, late_mask = prompts.late or (None, None)
        late_mask = _longer(late_mask, max_new_tokens, True)
    answers = [token]
    with clock.stage("decode"):
        finished = torch.zeros(len(token), dtype=torch.bool, device=token.device)
        while len(answers) < max_new_tokens:
            if end is not None:
                finished |= token == end
                if not fixed_length and bool(finished.all()):
                    break
            seen, late = cache.length + 1, None
            if after is not None:
                left = late_mask if late_mask is None else late_mask[:, : cache.lengths[-1] + 1]
                late = LateBlocks(after, attention_over(left, 1, cache.lengths[-1], token.device))
            logits = model.decode(
                token.unsqueeze(1),
                attention_mask=None if mask is None else mask[:, :seen],
                active_blocks=knobs.active_blocks,
                top_k=knobs.top_k,
                cache=cache,
                key_bias=None if bias is None else bias[:, :seen],
                late=late,
            )
            token = logits[:, -1].argmax(dim=-1)
            if end is not None:
                token = token.masked_fill(finished, end)
            observer.chosen(logits[:, -1], token, None if end is None else ~finished)
            answers.append(token)
    return torch.stack(answers, dim=1)


def _longer(tensor: Tensor | None, by: int, filled: float) -> Tensor | None:
    """(B, T) to (B, T + by), where there is one."""
    if tensor is None:
        return None
    return torch.cat([tensor, tensor.new_full((len(tensor), by), filled)], dim=1)
