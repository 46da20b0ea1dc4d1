"""The grouped mixture of experts against one expert at a time, token by token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.molmo_models import small_config
from tierexp.models.molmo.moe import MixtureOfExperts


def mixture(seed: int = 0) -> MixtureOfExperts:
    torch.manual_seed(seed)
    layer = MixtureOfExperts(small_config("mixture").decoder)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def mix_by_definition(layer: MixtureOfExperts, x: Tensor, top_k: int) -> Tensor:
    rows = []
    for token in x.flatten(0, 1):
        probabilities = (layer.gate.weight @ token).softmax(0)
        kept = sorted(range(layer.num_experts), key=lambda e: -probabilities[e].item())[:top_k]
        answer = torch.zeros_like(token)
        for expert in kept:
            gate, up = (layer.experts.gate_up_proj[expert] @ token).chunk(2)
            value = layer.experts.down_proj[expert] @ (F.silu(gate) * up)
            answer = answer + probabilities[expert] * value
        rows.append(answer)
    return torch.stack(rows).view_as(x)


@pytest.mark.parametrize("top_k", [1, 2, 6])
@pytest.mark.parametrize("shape", [(2, 9), (1, 1), (3, 1)])
def test_grouped_equals_definition(shape: tuple[int, int], top_k: int) -> None:
    layer = mixture()
    x = torch.randn(*shape, 32)
    torch.testing.assert_close(layer.mix(x, top_k), mix_by_definition(layer, x, top_k))


@pytest.mark.parametrize("top_k", [1, 3])
def test_gradients_equal_those_of_the_definition(top_k: int) -> None:
    gradients = []
    for mix in (MixtureOfExperts.mix, mix_by_definition):
        layer = mixture()
        x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        mix(layer, x, top_k).square().sum().backward()
        norm = {"ff_norm.weight"}
        gradients.append([x.grad, *(p.grad for n, p in layer.named_parameters() if n not in norm)])
    for grouped, defined in zip(*gradients, strict=True):
        torch.testing.assert_close(grouped, defined, rtol=1e-3, atol=1e-3)


def test_all_tokens_to_one_expert() -> None:
    layer = mixture()
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.gate.weight[4] = 1.0
    x = torch.rand(2, 5, 32) + 0.1
    torch.testing.assert_close(layer.mix(x, 1), mix_by_definition(layer, x, 1))


def test_a_token_does_not_depend_on_its_batch() -> None:
    layer = mixture()
    x = torch.randn(4, 6, 32)
    alone = torch.cat([layer(row[None]) for row in x])
    torch.testing.assert_close(layer(x), alone)


def test_top_k_of_a_call_replaces_the_configured_one() -> None:
    layer = mixture()
    x = torch.randn(1, 8, 32)
    torch.testing.assert_close(layer(x), layer(x, top_k=2))
    assert not torch.allclose(layer(x), layer(x, top_k=1), atol=1e-3)


def test_autocast_reaches_the_experts() -> None:
    layer = mixture()
    x = torch.randn(2, 8, 32)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = layer(x)
    assert narrow.dtype == x.dtype
    scale = layer(x).abs().max()
    assert (narrow - layer(x)).abs().max() < 0.05 * scale
    assert not torch.equal(narrow, layer(x))
