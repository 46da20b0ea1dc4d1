"""A model as constructed can be trained."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.support.molmo_models import KINDS, prompt, small_config
from tierexp.models.molmo.model import Molmo


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight(kind: str, autocast: bool) -> None:
    torch.manual_seed(0)
    model, inputs = Molmo(small_config(kind)), prompt([12, 9])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(inputs)
    cross_entropy(logits.float().flatten(0, 1), inputs.input_ids.flatten() % 40).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_handful_of_samples_is_learned(kind: str) -> None:
    torch.manual_seed(0)
    model, inputs = Molmo(small_config(kind)), prompt([12] * 6)
    same = torch.full_like(inputs.input_ids, 47)  # only the pictures tell the samples apart
    answers = torch.arange(6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    last = torch.full((6, 1), 11)
    for _ in range(60):
        features = model.vision_features(inputs.pixels, inputs.patch_mask)
        logits = model.decode(same, features, inputs.image_input_idx, logits_at=last)
        loss = cross_entropy(logits[:, 0], answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.1:
            break
    assert loss < 0.1
    assert logits[:, 0].argmax(-1).tolist() == answers.tolist()


def test_fresh_weights_follow_the_seed() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(Molmo(small_config("mixture")).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["lm_head.weight"], states[2]["lm_head.weight"])
