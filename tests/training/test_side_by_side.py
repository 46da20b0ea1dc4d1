"""Parts of a batch on threads of their own, against all of it at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tierexp.models.molmo.side_by_side import SideBySide
from tierexp.models.threads import torch_threads
from tierexp.training.side_by_side import in_parts


@pytest.fixture
def layers() -> nn.ModuleDict:
    torch.manual_seed(0)
    sizes = {"first": (6, 8), "second": (8, 3), "unused": (8, 3)}
    return nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items()}).double()


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    with torch_threads(3):
        yield


def _loss(found: Tensor) -> Tensor:
    return (found * torch.arange(found.numel()).view_as(found)).sin().sum()


def _compute(layers: nn.ModuleDict, part: tuple[Tensor, ...]) -> Tensor:
    x, scale = part
    found: Tensor = layers["second"](layers["first"](x).tanh()) * scale
    return found


@pytest.mark.parametrize("rows", [7, 2, 1])
def test_gradients_are_those_of_all_at_once(layers: nn.ModuleDict, rows: int) -> None:
    inputs = torch.randn(rows, 6).double(), torch.randn(rows, 1).double()
    layers["first"].bias.requires_grad_(False)
    _loss(_compute(layers, inputs)).backward()
    expected = {name: p.grad for name, p in layers.named_parameters()}
    layers.zero_grad()
    sizes = []

    def compute(part: tuple[Tensor, ...]) -> Tensor:
        sizes.append(len(part[0]))
        assert torch.get_num_threads() == 3 // min(rows, 3)
        return _compute(layers, part)

    found = in_parts(compute, inputs, layers.parameters(), SideBySide())
    torch.testing.assert_close(found, _compute(layers, inputs))
    _loss(found).backward()
    assert sorted(sizes) == {7: [2, 2, 3], 2: [1, 1], 1: [1]}[rows]
    for name, parameter in layers.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-12, atol=1e-12)
    assert {name for name, grad in expected.items() if grad is None} == {
        "first.bias",
        "unused.weight",
        "unused.bias",
    }


def test_parameters_that_share_a_gradient_have_it_once() -> None:
    first, second = (nn.Parameter(torch.zeros(())) for _ in range(2))
    inputs = (torch.arange(1.0, 7.0),)
    in_parts(
        lambda part: part[0] * (first + second), inputs, [first, second], SideBySide()
    ).sum().backward()
    assert first.grad == second.grad == 21


def test_threads_compute_in_the_callers_modes(layers: nn.ModuleDict) -> None:
    seen = []

    def compute(part: tuple[Tensor, ...]) -> Tensor:
        found = layers["first"].float()(part[0])
        seen.append((found.dtype, found.requires_grad))
        return found

    for learns in (True, False):
        with torch.set_grad_enabled(learns), torch.autocast("cpu", torch.bfloat16, learns):
            in_parts(compute, (torch.randn(6, 6),), layers["first"].parameters(), SideBySide())
    assert set(seen[:3]) == {(torch.bfloat16, True)}
    assert set(seen[3:]) == {(torch.float32, False)}


def test_what_a_part_raises_is_raised() -> None:
    def compute(part: tuple[Tensor, ...]) -> Tensor:
        raise FloatingPointError(len(part[0]))

    with pytest.raises(FloatingPointError, match="2"):
        in_parts(compute, (torch.zeros(6, 1),), [], SideBySide())
