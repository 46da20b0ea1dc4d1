"""Where the tokens of a question should look: supervision of attention.

In: questions with what their words name, and which vision tokens show it. Out: for some tokens of
a packed sequence, groups of positions and what part of one head's attention each group should get.
Without it, a small model has to come by chance upon the few among hundreds of vision tokens that
say anything about a question. Yu et al., "Supervising Neural Attention Models for Video Captioning
by Human Gaze Data" (2017), teach attention so; evaluation never reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tierexp.data.tierqa.questions import Question
from tierexp.data.tierqa.scene import Box
from tierexp.models.molmo.token_layout import DROPPED
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.training.grounding import Grounding, beginning_of
from tierexp.training.taught_heads import TAUGHT_HEADS, Step

_SINK = 0
"""Position of the beginning of text, which gets the attention that nothing else deserves: where
nothing is found, or a code has no character left."""
_SINK_SHARES = 2
"""Where objects are counted, each gets one share of attention and the sink so many: as much as the
keys around each one's centre, together always equally strong, bring about, and the objects' number
is to be seen in what comes of it. Shares that add up otherwise would have to be counted first. Two,
the square root of the most there are: so the shares of one and of the most differ the most."""
_LEAST_SHARE = 0.05
"""Fraction of a thing's centre from which a token is one of those to count it by."""


@dataclass(frozen=True)
class Lookup:
    """What one token should look at.

    Args:
        position: Position of the token in its sequence.
        step: What it looks for.
        groups: Positions to look at; which of a group does not matter.
        shares: Shares of the attention, for each group.
    """

    position: int
    step: Step
    groups: tuple[NDArray[np.int64], ...]
    shares: tuple[float, ...]


def lookups_of(
    question: Question,
    start: int,
    grounding: Grounding,
    image_input_idx: NDArray[np.int64],
    tokenizer: PromptTokenizer,
) -> list[Lookup]:
    """The lookups of one question.

    Args:
        question: Whose.
        start: Where its prompt starts in the sequence.
        grounding: Where the picture's boxes are among the vision tokens.
        image_input_idx: (N, K): positions of vision tokens in the sequence, the global view first.
        tokenizer: Tokenizer of the model.
    """

    def positions(box: Box, views: slice | NDArray[np.int64]) -> NDArray[np.int64]:
        places = image_input_idx[views][grounding.shown_by(box)[views]]
        kept: NDArray[np.int64] = places[places != DROPPED]
        return kept

    ends = [start + tokenizer.prompt_token_at(question.text, m.end) for m in question.mentions]
    first = start + len(tokenizer.encode_prompt(question.text))
    last = first + len(tokenizer.encode_answer(question.answer))
    lookups = []
    for end, mention in zip(ends, question.mentions, strict=True):
        attribute = start + _token_before_last_word(question.text[: mention.end], tokenizer)
        lookups.append(Lookup(end, "attribute", (np.array([attribute]),), (1.0,)))
        step: Step = "count" if question.task == "count" else "object"
        if step == "count":
            groups, shares = _counted(mention.boxes, grounding, image_input_idx[1:])
        else:
            # Where something is, the global view tells at once; whether it is, a crop shows better.
            views = slice(None) if question.task == "coarse" else slice(1)
            groups, shares = _found(mention.boxes, partial(positions, views=views)), (1.0,)
        if groups and all(map(len, groups)):
            lookups.append(Lookup(end, step, groups, shares))
    names = tuple(np.array([end]) for end in ends)
    shares = (1 / len(names),) * len(names)
    # A token predicts the one after it.
    lookups += [Lookup(p, "name", names, shares) for p in range(first - 1, last)]
    if question.spelled:
        # Where no character is left, the answer ends.
        lookups.append(Lookup(last - 1, "character", (np.array([_SINK]),), (1.0,)))
        (plate,) = question.mentions[0].boxes
        beginning = beginning_of(plate, question.spelled[0])
        readable = np.flatnonzero(grounding.reads_from(beginning))
    for number, box in enumerate(reversed(question.spelled), start=1):
        group = positions(box, readable)
        if not len(group):
            # Beyond a seam, from where the beginning is not to be seen: only the global view can
            # still tell which character of the code it is.
            group = positions(box, slice(1))
        if len(group):
            lookups.append(Lookup(last - number - 1, "character", (group,), (1.0,)))
    return lookups


Groups = tuple[NDArray[np.int64], ...]


def _found(boxes: Sequence[Box], positions: Callable[[Box], NDArray[np.int64]]) -> Groups:
    """One group: whatever shows one of the boxes, or the sink if there are none."""
    if not boxes:
        return (np.array([_SINK]),)
    return (np.unique(np.concatenate([positions(box) for box in boxes])),)


def _counted(
    boxes: Sequence[Box], grounding: Grounding, canvas_input_idx: NDArray[np.int64]
) -> tuple[Groups, tuple[float, ...]]:
    """A group for every token around a box's centre and one for the sink, with their shares;
    nothing where a centre is not to be seen.

    On the canvas, which shows everything once; by the centres' shares, because if all tokens of a
    thing counted, a large one would count for more, and if the one at its centre did, a thing
    between two tokens would be counted twice or not at all.
    """
    kept = canvas_input_idx != DROPPED
    total = np.zeros(kept.shape)
    for box in boxes:
        shares = grounding.center_shares(box)
        shares = np.where(kept & (shares >= _LEAST_SHARE), shares, 0)
        if not shares.any():
            return (), ()
        total += shares / shares.sum()
    of_all = _SINK_SHARES + len(boxes)
    near = total > 0
    groups = [np.array([place]) for place in canvas_input_idx[near]]
    shares_of_groups = [float(share) / of_all for share in total[near]]
    return (*groups, np.array([_SINK])), (*shares_of_groups, _SINK_SHARES / of_all)


def _token_before_last_word(words: str, tokenizer: PromptTokenizer) -> int:
    """The place in the prompt of the last token before the last of some words."""
    return tokenizer.prompt_token_at(words, words.rindex(" "))


def stack_lookups(lookups: Sequence[Sequence[Lookup]], length: int) -> dict[str, Tensor]:
    """The lookups of a batch as tensors, by field name of `TrainingBatch`.

    Args:
        lookups: Lookups of every sequence of the batch.
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
    # In bfloat16 a CPU would get a kernel of its own for every number of queries.
    with torch.autocast(queries.device.type, enabled=False):
        scores = queries.float() @ keys.float().mT * queries.shape[-1] ** -0.5  # (M, T)
    attention = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    gets = attention.new_zeros(len(shares), shares.shape[1] + 1)
    gets = gets.scatter_add(1, looks_at.long(), attention)[:, 1:]  # (M, G)
    of_groups: Tensor = torch.xlogy(shares, shares) - shares * (gets + 1e-6).log()
    return of_groups.sum(-1)
