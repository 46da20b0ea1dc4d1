"""Greedy generation with a key-value cache.

In: a network, and what reads a batch of prompts. Out: token ids.
Knows nothing about text: what ends an answer is an id. Between two tokens nothing is asked of the
device: masks and positions are known before the first.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.decoder import DecoderKnobs, LateBlocks
from tierexp.models.molmo.ended import STEPS_BEHIND, EndWatch, until_all_ended
from tierexp.models.molmo.fixed_decoding import FixedDecoders
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.packing import Packing
from tierexp.models.molmo.prefill import Prefilled
from tierexp.models.stages import UNTIMED, StageClock

Step = Callable[[Tensor], Tensor]
"""From the last token of every answer, (B,), to the logits of the next, (B, V)."""


def generate_greedily(
    model: Molmo,
    prefilled: Callable[[int], Prefilled],
    max_new_tokens: int,
    knobs: DecoderKnobs,
    end_of_text_id: int | None,
    clock: StageClock = UNTIMED,
    fixed_length: bool = False,
    observer: AnswerObserver = UNOBSERVED,
    decoders: FixedDecoders | None = None,
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
        decoders: Take the steps in a cache of fixed size; None for one that grows.

    Returns:
        (B, L <= max_new_tokens) int64; after the end of text a row holds only end-of-text ids,
        and generation stops when all rows have ended.
    """
    end = end_of_text_id
    with clock.stage("prefill"):
        prompts = prefilled(max_new_tokens)
        token = prompts.logits.argmax(dim=-1)  # (B,)
        observer.chosen(prompts.logits, token, None)
    answers = [token]
    with clock.stage("decode"):
        step = None if decoders is None else decoders.begin(prompts, max_new_tokens, knobs)
        step = step or GrowingSteps(model, prompts, max_new_tokens, knobs)
        finished = torch.zeros(len(token), dtype=torch.bool, device=token.device)
        watch = EndWatch(STEPS_BEHIND if token.device.type == "cuda" else 0)
        while len(answers) < max_new_tokens:
            if end is not None:
                finished |= token == end
                if not fixed_length and watch.all_ended(finished):
                    break
            logits = step(token)
            token = logits.argmax(dim=-1)
            if end is not None:
                token = token.masked_fill(finished, end)
            observer.chosen(logits, token, None if end is None else ~finished)
            answers.append(token)
    generated = torch.stack(answers, dim=1)
    if end is None or fixed_length or watch.behind == 0:
        return generated
    return until_all_ended(generated, end)


class GrowingSteps:
    """Steps of decoding in a cache that grows by a token.

    Args:
        model: As of `generate_greedily`.
        prompts: That have been read.
        max_new_tokens: Tokens of the longest answer.
        knobs: What of the decoder runs.
    """

    def __init__(
        self, model: Molmo, prompts: Prefilled, max_new_tokens: int, knobs: DecoderKnobs
    ) -> None:
        self._model, self._cache, self._knobs = model, prompts.cache, knobs
        self._after: int | None = None
        self._late_mask: Tensor | None = None
        self._packing: Packing | None = None
        if prompts.packed is not None:
            self._packing, seen = prompts.packed
            self._mask: Tensor | None = seen.answers
            self._positions = seen.next_positions
            return
        self._mask = step_mask(prompts.mask, prompts.key_bias, max_new_tokens)
        if prompts.late is not None:
            self._after, late = prompts.late
            self._late_mask = step_mask(late, None, max_new_tokens)
        self._positions = prompts.next_positions

    def __call__(self, token: Tensor) -> Tensor:
        """See `Step`."""
        cache, late, packing = self._cache, None, self._packing
        tokens = token.unsqueeze(1) if packing is None else packing.spread(token)
        if self._after is not None:
            late = LateBlocks(self._after, _up_to(self._late_mask, cache.lengths[-1] + 1))
        logits = self._model.decode(
            tokens,
            attention_mask=_up_to(self._mask, cache.length + tokens.shape[1]),
            position_ids=self._positions,
            active_blocks=self._knobs.active_blocks,
            top_k=self._knobs.top_k,
            cache=cache,
            late=late,
        )
        self._positions = self._positions + 1
        return logits[:, -1] if packing is None else packing.collect(logits)


def step_mask(mask: Tensor | None, key_bias: Tensor | None, new_tokens: int) -> Tensor | None:
    """Where every new token looks, a column for each token up to the last: as the answer is never
    padding, the mask is known before the first token is.

    Args:
        mask: (B, T) bool, False on padding; None where there is none.
        key_bias: (B, T) float, as of `Molmo.decode`; None for nothing.
        new_tokens: New tokens of the longest answer.

    Returns:
        (B, 1, 1, T + new_tokens), bool or float to add to the scores; None where all is seen alike.
    """
    mask, key_bias = _longer(mask, new_tokens, True), _longer(key_bias, new_tokens, 0)
    if key_bias is not None and mask is not None:
        key_bias = key_bias.masked_fill(~mask, -torch.inf)
    seen = mask if key_bias is None else key_bias
    return None if seen is None else seen[:, None, None, :]


def _up_to(mask: Tensor | None, length: int) -> Tensor | None:
    return None if mask is None else mask[..., :length]


def _longer(tensor: Tensor | None, by: int, filled: float) -> Tensor | None:
    """(B, T) to (B, T + by), where there is one."""
    if tensor is None:
        return None
    return torch.cat([tensor, tensor.new_full((len(tensor), by), filled)], dim=1)
