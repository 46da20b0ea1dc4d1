"""The grouped mixture of experts against one expert at a time, token by token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.support.molmo_models import small_config
from tierexp.models.molmo.experts import Experts, turns
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
@pytest.mark.parametrize("shape", [(2, 9), (1, 1), (3, 1), (4, 50)])
def test_grouped_equals_definition(shape: tuple[int, int], top_k: int) -> None:
    layer = mixture()
    x = torch.randn(*shape, 32)
    torch.testing.assert_close(layer.mix(x, top_k), mix_by_definition(layer, x, top_k))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("top_k", [1, 2, 6])
@pytest.mark.parametrize("shape", [(2, 9), (1, 1), (3, 1), (4, 50)])
@torch.inference_mode()
def test_without_gradients_it_equals_the_definition(
    shape: tuple[int, int], top_k: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    layer = mixture()
    x = torch.randn(*shape, 32)
    expected = mix_by_definition(layer, x, top_k)
    difference = (layer.mix(x, top_k) - expected).abs().max()
    assert difference < 1e-5 * expected.abs().max()


SIZES = st.lists(st.integers(0, 300), min_size=1, max_size=64).filter(any)


@given(SIZES, st.integers(1, 1 << 22), st.integers(1, 64))
def test_every_expert_with_a_token_has_one_turn(
    sizes: list[int], product: int, threads: int
) -> None:
    plan = turns(sizes, product, threads)
    visited = [expert for turn in plan for expert in range(turn.first, turn.end)]
    assert visited == sorted(set(visited))
    assert {expert for expert, size in enumerate(sizes) if size} <= set(visited)
    for turn in plan:
        assert turn.height == max(sizes[turn.first : turn.end]) > 0
    # At most two thirds more rows than tokens, and none where no thread would be idle without.
    assert sum(turn.rows for turn in plan) <= sum(sizes) / 0.6 + 1e-6
    if threads == 1 or product * min(sizes) >= threads << 22:
        assert sum(turn.rows for turn in plan) == sum(sizes)


def test_small_products_are_padded_to_fill_the_threads() -> None:
    assert turns([3, 4, 4, 3] * 4, 1000, 2) == [(0, 8, 4), (8, 16, 4)]
    assert turns([3, 4, 4, 3] * 4, 1 << 22, 2) == [
        (e, e + 1, n) for e, n in enumerate([3, 4, 4, 3] * 4)
    ]


def test_one_expert_with_most_tokens_makes_no_padding() -> None:
    assert turns([0, 90, 1, 0, 2, 1, 1, 1], 1000, 2) == [
        (1, 2, 90), (2, 3, 1), (4, 5, 2), (5, 6, 1), (6, 7, 1), (7, 8, 1),
    ]  # fmt: skip


@torch.inference_mode()
def test_decoding_reads_the_weights_of_the_chosen_experts_alone() -> None:
    layer = mixture()
    x = torch.randn(1, 1, 32)
    expected = layer.mix(x, 2)
    chosen = (layer.gate.weight @ x.flatten()).topk(2).indices.tolist()
    for expert in set(range(layer.num_experts)) - set(chosen):
        layer.experts.gate_up_proj[expert] = torch.nan
        layer.experts.down_proj[expert] = torch.nan
    torch.testing.assert_close(layer.mix(x, 2), expected)


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


@pytest.mark.parametrize("top_k", [1, 3])
def test_what_gpus_run_and_what_cpus_train_with_are_the_same(top_k: int) -> None:
    """Torch's grouped product, which the CPU has but does not choose."""
    answers = []
    for experts in (Experts.forward, Experts._grouped):
        layer = mixture().experts
        torch.manual_seed(1)
        tokens = torch.randn(300, 32, requires_grad=True)
        chosen = torch.rand(300, 6).topk(top_k).indices
        weights = torch.rand(300, top_k, requires_grad=True)
        answer = experts(layer, tokens, chosen, weights)
        answer.square().sum().backward()
        gradients = [tokens.grad, weights.grad, *(p.grad for p in layer.parameters())]
        answers.append([answer.detach(), *gradients])
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("favoured", [0.0, 4.0])
def test_training_in_bfloat16_pads_experts_in_steps(favoured: float) -> None:
    """As many as take several steps of rows, evenly and nearly all of them to one expert."""
    torch.manual_seed(1)
    layer = mixture().experts
    tokens = torch.randn(1200, 32)
    scores = torch.randn(1200, 6)
    scores[:, 2] += favoured
    chosen, weights = scores.topk(3).indices, torch.rand(1200, 3)
    exact, answer = (
        layer(tokens.to(dtype), chosen, weights) for dtype in (torch.float32, torch.bfloat16)
    )
    assert answer.dtype == torch.bfloat16
    spread = float(exact.detach().std())
    torch.testing.assert_close(answer.float(), exact, rtol=0.05, atol=0.05 * spread)


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


@torch.inference_mode()
def test_answers_in_bfloat16_are_added_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experts that answer 256 and eight times 1, each in a turn; in bfloat16, 256 + 1 is 256."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    experts = Experts(num_experts=9, width=2, hidden_width=1)
    with torch.no_grad():
        experts.gate_up_proj[:, 0], experts.gate_up_proj[:, 1] = 32, 1 / 32
        experts.down_proj.fill_(1)
        experts.down_proj[0] = 256
    tokens, chosen = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.arange(9).expand(2, 9)
    answer = experts.bfloat16()(tokens.bfloat16(), chosen, torch.ones(2, 9))
    assert answer.tolist() == [[264, 264], [264, 264]]
