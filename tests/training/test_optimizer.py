"""The two optimisers that train as one, against each of them alone."""

from __future__ import annotations

import copy

import torch
from torch import nn

from tierexp.training.optimizer import MuonAdamW


class Net(nn.Module):
    """A parameter of every sort."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(7, 6)
        self.hidden = nn.Linear(6, 8)
        self.experts = nn.Parameter(torch.randn(2, 8, 8))
        self.lm_head = nn.Linear(8, 7)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.hidden(self.wte(ids))
        out: torch.Tensor = self.lm_head(hidden + (hidden @ self.experts).sum(0))
        return out


MUON = ("hidden.weight",)
DECAYED = ("wte.weight", "experts", "lm_head.weight")
VECTORS = ("hidden.bias", "lm_head.bias")


def train(net: Net, optimizers: list[torch.optim.Optimizer], rates: list[float]) -> None:
    generator = torch.Generator().manual_seed(3)
    base = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    for rate in rates:
        ids = torch.randint(7, (5,), generator=generator)
        nn.functional.cross_entropy(net(ids), ids).backward()
        for optimizer, lrs in zip(optimizers, base, strict=True):
            for group, lr in zip(optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr * rate
            optimizer.step()
            optimizer.zero_grad()


def test_it_is_muon_for_hidden_matrices_and_adamw_for_the_rest() -> None:
    torch.manual_seed(0)
    net = Net()
    twin = copy.deepcopy(net)
    named = dict(twin.named_parameters())
    assert {*MUON, *DECAYED, *VECTORS} == named.keys()
    apart = [
        torch.optim.Muon(
            [named[name] for name in MUON],
            lr=3.0, weight_decay=0.1, adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [named[name] for name in DECAYED], lr=1.0, betas=(0.9, 0.98), weight_decay=0.1
        ),
        torch.optim.AdamW(
            [named[name] for name in VECTORS], lr=1.0, betas=(0.9, 0.98), weight_decay=0.0
        ),
    ]  # fmt: skip
    rates = [0.01, 0.02, 0.005]
    train(net, [MuonAdamW(net.named_parameters(), matrix_rate=3.0, weight_decay=0.1)], rates)
    train(twin, apart, rates)
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter, named[name], rtol=0, atol=0, msg=name)


def test_its_state_goes_on_where_it_was_saved() -> None:
    torch.manual_seed(0)
    net = Net()
    optimizer = MuonAdamW(net.named_parameters(), matrix_rate=3.0, weight_decay=0.1)
    train(net, [optimizer], [0.01, 0.01])
    twin = copy.deepcopy(net)
    resumed = MuonAdamW(twin.named_parameters(), matrix_rate=3.0, weight_decay=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    # The rates come back as they were left, and setting them anew reaches both parts.
    assert [group["lr"] for group in resumed.param_groups] == [0.03, 0.01, 0.01]
    train(net, [optimizer], [0.5])
    train(twin, [resumed], [0.5])
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, twin.get_parameter(name)), name


def test_the_vision_part_has_groups_of_its_own() -> None:
    net = nn.ModuleDict({"vision_backbone": nn.Linear(4, 4), "blocks": nn.Linear(4, 4)})
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    grouped: dict[bool, list[str]] = {True: [], False: []}
    for group in MuonAdamW(net.named_parameters(), 3.0, 0.1).param_groups:
        grouped[group["vision"]] += [names[id(parameter)] for parameter in group["params"]]
    assert sorted(grouped[True]) == ["vision_backbone.bias", "vision_backbone.weight"]
    assert sorted(grouped[False]) == ["blocks.bias", "blocks.weight"]
