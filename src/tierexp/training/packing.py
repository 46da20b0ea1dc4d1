"""Many questions about one image in one sequence, so that the image is encoded once.

In: the token layout of an image and tokenised questions with answers. Out: a packed sequence in
which every question sees the image and itself, at the positions it would have alone. "Molmo and
PixMo" (2024) trains on its multi-annotated images in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -100
LENGTH_STEP = 64
"""Sequences are padded to a multiple of so many tokens: in bfloat16 torch makes a kernel for every
new shape, which on a CPU takes longer than a short step."""
_IMAGE, PADDING = 0, -1


@dataclass(frozen=True)
class PackedSequence:
    """An image and its questions.

    Args:
        input_ids: (T,) int64: the image's tokens, then each question with its answer.
        labels: (T,) int64: the token that follows, where it belongs to an answer; -100 elsewhere.
        position_ids: (T,) int64: as if each question followed the image directly.
        segments: (T,) int64: 0 for the image, then one number per question.
        starts: Where each question starts.
    """

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    starts: tuple[int, ...]


def pack(
    image_ids: NDArray[np.int64],
    questions: Sequence[tuple[Sequence[int], Sequence[int]]],
    eos_id: int,
) -> PackedSequence:
    """Pack an image's tokens and (prompt, answer) pairs.

    Args:
        image_ids: (T0,) int64, beginning of text and image.
        questions: Token ids of prompts and answers; the end of text is added to each answer.
        eos_id: The end of text.
    """
    ids, labels = [image_ids], [np.full(len(image_ids), IGNORED)]
    positions, segments = [np.arange(len(image_ids))], [np.full(len(image_ids), _IMAGE)]
    starts: list[int] = []
    for number, (prompt, answer) in enumerate(questions, start=1):
        starts.append(sum(map(len, ids)))
        target = [*answer, eos_id]
        # The last prompt token predicts the answer's first; the end of text is never an input.
        ids.append(np.array([*prompt, *answer], dtype=np.int64))
        labels.append(np.array([IGNORED] * (len(prompt) - 1) + target))
        positions.append(len(image_ids) + np.arange(len(ids[-1])))
        segments.append(np.full(len(ids[-1]), number))
    return PackedSequence(
        input_ids=np.concatenate(ids),
        labels=np.concatenate(labels),
        position_ids=np.concatenate(positions),
        segments=np.concatenate(segments),
        starts=tuple(starts),
    )


def pad_sequences(sequences: Sequence[PackedSequence], pad_id: int) -> dict[str, Tensor]:
    """Stack packed sequences, padded on the right: (B, T) int64 each, by field name.

    T is a multiple of `LENGTH_STEP`.
    """
    fills = {"input_ids": pad_id, "labels": IGNORED, "position_ids": 0, "segments": PADDING}
    longest = max(len(sequence.input_ids) for sequence in sequences)
    length = -(-longest // LENGTH_STEP) * LENGTH_STEP
    batch = {}
    for name, fill in fills.items():
        rows = torch.full((len(sequences), length), fill, dtype=torch.long)
        for row, sequence in zip(rows, sequences, strict=True):
            values = getattr(sequence, name)
            row[: len(values)] = torch.from_numpy(values)
        batch[name] = rows
    return batch


def attention_of(segments: Tensor) -> Tensor:
    """Who sees whom: (B, T) segments to a (B, 1, T, T) mask, True where a query sees a key.

    Causal; a token sees the image and its own question. Padding sees only itself, so that no row
    is empty.
    """
    length = segments.shape[1]
    query, key = segments[:, :, None], segments[:, None, :]
    everywhere = torch.ones(length, length, dtype=torch.bool, device=segments.device)
    visible = everywhere.tril() & ((key == _IMAGE) | (key == query)) & (key != PADDING)
    itself = torch.eye(length, dtype=torch.bool, device=segments.device)
    return (visible | itself)[:, None]
