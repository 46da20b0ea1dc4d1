"""Where the tokens of a question should look: supervision of attention.

In: questions with what their words name, and which vision tokens show it. Out: for some tokens of
a packed sequence, groups of positions and the share of one head's attention each group should get.
Without it, a small model has to come by chance upon the few among hundreds of vision tokens that
say anything about a question. Yu et al., "Supervising Neural Attention Models for Video Captioning
by Human Gaze Data" (2017), teach attention so; evaluation never reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tierexp.data.tierqa.questions import MOST_OF_A_KIND, Question
from tierexp.data.tierqa.scene import Box
from tierexp.imaging.tokens import DROPPED
from tierexp.models.text import PromptTokenizer
from tierexp.training.taught_heads import TAUGHT_HEADS, Step

Shows = Callable[[Box], NDArray[np.bool_]]
"""A box of the picture, to (N, K): which vision tokens show it."""

_SINK = 0
"""Position of the beginning of text, which gets the attention that nothing else deserves."""
_SHARES = MOST_OF_A_KIND + 1
"""Where objects are counted, each gets one share in so many, and the sink what is left: attention
adds up to one, and only so is their number to be seen in what it brings."""


@dataclass(frozen=True)
class Lookup:
    """What one token should look at.

    Args:
        position: Of the token in its sequence.
        step: What it looks for.
        groups: Positions to look at; which of a group does not matter.
        shares: Of the attention, for each group.
    """

    position: int
    step: Step
    groups: tuple[NDArray[np.int64], ...]
    shares: tuple[float, ...]


def lookups_of(
    question: Question,
    start: int,
    shows: Shows,
    image_input_idx: NDArray[np.int64],
    tokenizer: PromptTokenizer,
) -> list[Lookup]:
    """The lookups of one question.

    Args:
        question: Whose.
        start: Where its prompt starts in the sequence.
        shows: Which vision tokens show a box.
        image_input_idx: (N, K): positions of vision tokens in the sequence, the global view first.
        tokenizer: Of the model.
    """

    def positions(box: Box, views: slice) -> NDArray[np.int64]:
        places = image_input_idx[views][shows(box)[views]]
        kept: NDArray[np.int64] = places[places != DROPPED]
        return kept

    ends = [start + tokenizer.prompt_token_at(question.text, m.end) for m in question.mentions]
    first = start + len(tokenizer.encode_prompt(question.text))
    last = first + len(tokenizer.encode_answer(question.answer))
    lookups = []
    for end, mention in zip(ends, question.mentions, strict=True):
        attribute = start + _token_before_last_word(question.text[: mention.end], tokenizer)
        lookups.append(Lookup(end, "attribute", (np.array([attribute]),), (1.0,)))
        # The global view shows everything once; a crop may cut it in two.
        groups = tuple(positions(box, slice(1)) for box in mention.boxes)
        # Two things on one token cannot be told apart by where attention goes.
        distinct = len(np.unique(np.concatenate(groups))) if groups else 0
        if all(len(group) for group in groups) and distinct == sum(map(len, groups)):
            lookups.append(Lookup(end, "object", *_shared(groups, question.task == "count")))
    names = tuple(np.array([end]) for end in ends)
    # A token predicts the one after it.
    lookups += [Lookup(p, "name", *_shared(names)) for p in range(first - 1, last)]
    for number, box in enumerate(reversed(question.spelled), start=1):
        group = positions(box, slice(None))
        if len(group):
            lookups.append(Lookup(last - number - 1, "character", (group,), (1.0,)))
    return lookups


def _token_before_last_word(words: str, tokenizer: PromptTokenizer) -> int:
    """The place in the prompt of the last token before the last of some words."""
    return tokenizer.prompt_token_at(words, words.rindex(" "))


def _shared(
    groups: tuple[NDArray[np.int64], ...], counted: bool = False
) -> tuple[tuple[NDArray[np.int64], ...], tuple[float, ...]]:
    """Groups with their shares; what no group is due goes to the sink."""
    share = 1 / _SHARES if counted else 1 / max(1, len(groups))
    left = 1 - share * len(groups)
    if left < share / 2:
        return groups, (share,) * len(groups)
    return (*groups, np.array([_SINK])), (*(share,) * len(groups), left)


def stack_lookups(lookups: Sequence[Sequence[Lookup]], length: int) -> dict[str, Tensor]:
    """The lookups of a batch as tensors, by field name of `TrainingBatch`.

    Args:
        lookups: Of every sequence of the batch.
        length: T, of the padded sequences.

    Returns:
        `looks_from` (M, 3) int64: sequence, position, and head in `TAUGHT_HEADS`; `looks_at`
        (M, T) uint8: the group of every position from 1, 0 for none; `look_shares` (M, G) float32.
    """
    flat = [
        (row, head, lookup)
        for row, of_row in enumerate(lookups)
        for lookup in of_row
        for head, taught in enumerate(TAUGHT_HEADS)
        if taught.step == lookup.step
    ]
    most = max((len(lookup.groups) for *_, lookup in flat), default=1)
    looks_from = np.zeros((len(flat), 3), np.int64)
    looks_at = np.zeros((len(flat), length), np.uint8)
    shares = np.zeros((len(flat), most), np.float32)
    for number, (row, head, lookup) in enumerate(flat):
        looks_from[number] = row, lookup.position, head
        for group, places in enumerate(lookup.groups, start=1):
            looks_at[number, places] = group
        shares[number, : len(lookup.shares)] = lookup.shares
    return {
        "looks_from": torch.from_numpy(looks_from),
        "looks_at": torch.from_numpy(looks_at),
        "look_shares": torch.from_numpy(shares),
    }


def divergence(
    queries: Tensor, keys: Tensor, visible: Tensor, looks_at: Tensor, shares: Tensor
) -> Tensor:
    """How far attention is from where it should be.

    Args:
        queries: (M, D), of one head and one sequence, like `keys`.
        keys: (T, D).
        visible: (M, T) bool: which keys a query may look at.
        looks_at: (M, T): the group of every position, as from `stack_lookups`.
        shares: (M, G): the attention that groups should get.

    Returns:
        (M,) float32: the Kullback-Leibler divergence from the shares that groups get.
    """
    scores = (queries @ keys.mT * queries.shape[-1] ** -0.5).float()  # (M, T)
    attention = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    gets = attention.new_zeros(len(shares), shares.shape[1] + 1)
    gets = gets.scatter_add(1, looks_at.long(), attention)[:, 1:]  # (M, G)
    of_groups: Tensor = torch.xlogy(shares, shares) - shares * (gets + 1e-6).log()
    return of_groups.sum(-1)
