"""Batches on their way from one process to another."""

from __future__ import annotations

import pickle
from dataclasses import fields

import pytest
import torch

from tierexp.models.molmo.model_inputs import ModelInputs


@pytest.mark.parametrize("side", [4, 336])
def test_a_batch_arrives_as_it_was_sent(side: int) -> None:
    random = torch.Generator().manual_seed(0)
    sent = ModelInputs(
        input_ids=torch.randint(9, (2, 5), generator=random),
        attention_mask=torch.tensor([[False, True, True, True, True], [True] * 5]),
        pixels=torch.randint(256, (2, 2, side, side, 3), generator=random, dtype=torch.uint8),
        patch_mask=torch.rand(2, 2, 4, generator=random),
        image_input_idx=torch.tensor([[[0, -100]], [[1, 2]]]),
        image_index=torch.tensor([0, 1]),
    )
    arrived = pickle.loads(pickle.dumps(sent))
    assert isinstance(arrived, ModelInputs)
    for field in fields(ModelInputs):
        here, there = getattr(sent, field.name), getattr(arrived, field.name)
        assert here.dtype == there.dtype
        assert torch.equal(here, there)
    arrived.input_ids[0, 0] = 7  # it is the receiver's
