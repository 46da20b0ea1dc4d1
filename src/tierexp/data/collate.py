"""Rows of equal crop count become a batch; prompts are padded on the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tierexp.data.batch import EvaluationBatch, FailedSample
from tierexp.data.prepare import PreparedRow
from tierexp.imaging.preprocess import PreprocessedImage, stack_crops
from tierexp.models.protocol import ModelInputs


def collate_inputs(rows: Sequence[PreparedRow], pad_id: int) -> ModelInputs:
    """Stack rows of equal crop count; shorter prompts are padded on the left, and an image that
    several rows share is there once.

    Args:
        rows: At least one, all with the same number of crops.
        pad_id: The token that pads.

    Raises:
        ValueError: Rows of different crop counts.
    """
    longest = max(len(row.input_ids) for row in rows)
    input_ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    attention_mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    positions, image_index = [], []
    # Rows about one image share it, as `SamplePreparer` hands them out.
    images: list[PreprocessedImage] = []
    places: dict[int, int] = {}
    for i, row in enumerate(rows):
        padding = longest - len(row.input_ids)
        input_ids[i, padding:] = torch.from_numpy(row.input_ids)
        attention_mask[i, padding:] = True
        idx = row.image_input_idx
        positions.append(np.where(idx < 0, idx, idx + padding))
        if id(row.image) not in places:
            places[id(row.image)] = len(images)
            images.append(row.image)
        image_index.append(places[id(row.image)])
    return ModelInputs(
        input_ids=input_ids,
        attention_mask=attention_mask,
        crops=torch.from_numpy(stack_crops(images)),
        patch_mask=torch.from_numpy(np.stack([image.patch_mask for image in images])),
        image_input_idx=torch.from_numpy(np.stack(positions)),
        image_index=torch.tensor(image_index),
    )


class Collate:
    """`collate_fn` of the evaluation's data loader.

    Args:
        pad_id: The token that pads.
    """

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, items: Sequence[PreparedRow | FailedSample]) -> EvaluationBatch:
        """Stack what could be prepared; what could not goes beside it."""
        rows = [item for item in items if isinstance(item, PreparedRow)]
        failures = tuple(item for item in items if isinstance(item, FailedSample))
        inputs = collate_inputs(rows, self._pad_id) if rows else None
        return EvaluationBatch(inputs, tuple(row.prepared for row in rows), failures)
