"""The experts of a mixture: tokens sorted by expert and multiplied in groups.

In: tokens, the experts that each visits, and what those count. Out: for every token the weighted
sum of its experts' answers. The cost follows the experts per token, not the number of experts.
Knows nothing about routing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

SHARED_PRODUCT = 1 << 22
"""Multiplications per thread from which threads of a CPU share a matrix product well. They take
about 80 µs (50 to 100 GFLOPS a core), and starting and ending together takes several."""

FULL = 0.6
"""Share of experts padded to equal numbers of tokens that has to be tokens for padding to pay."""


class Turn(NamedTuple):
    """The experts from `first` to `end`, multiplied at once with `height` rows each."""

    first: int
    end: int
    height: int

    @property
    def rows(self) -> int:
        """Padding included."""
        return (self.end - self.first) * self.height


def turns(sizes: list[int], product: int, threads: int) -> list[Turn]:
    """Which experts a CPU multiplies at once.

    Large products one at a time, shared by the threads. Small ones several at a time, each on a
    thread of its own: four per thread even out how long they take. For that they are padded to as
    many rows as the largest of them has, unless they are too unequal.

    Args:
        sizes: Tokens of every expert.
        product: Multiplications a token takes in the larger of an expert's two products.
        threads: Of the CPU.

    Returns:
        All experts that have a token, each once, in their order.
    """
    large = sum(sizes) * product >= threads * SHARED_PRODUCT * len(sizes)
    together = 1 if large or threads == 1 else 4 * threads
    found = []
    for first in range(0, len(sizes), together):
        part = sizes[first : first + together]
        height = max(part)
        if sum(part) >= FULL * height * len(part):
            part_turns = [Turn(first, first + len(part), height)]
        else:
            part_turns = [Turn(e, e + 1, n) for e, n in enumerate(part, start=first)]
        found += [turn for turn in part_turns if turn.height > 0]
    return found


def gated(inner: Tensor) -> Tensor:
    """The silu of the first half of the channels, times the second."""
    gate, up = inner.chunk(2, dim=-1)
    return F.silu(gate) * up


class Experts(nn.Module):
    """Gated linear units `down(silu(gate x) · up x)`, their weights stacked.

    Args:
        num_experts: How many.
        width: Channels of a token.
        hidden_width: Channels inside an expert.
    """

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(num_experts, 2 * hidden_width, width))
        self.down_proj = nn.Parameter(torch.empty(num_experts, width, hidden_width))

    def forward(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Send every token through its experts and add up what they answer.

        Args:
            tokens: (N, C).
            chosen: (N, k) int64, the experts of each token.
            weights: (N, k), what their answers count.

        Returns:
            (N, C).
        """
        on_cpu = tokens.device.type == "cpu" and not torch.is_grad_enabled()
        if on_cpu and len(tokens) == 1:
            return weights.to(tokens.dtype) @ self._of_one(tokens, chosen[0].tolist())
        assigned = chosen.flatten()  # (N k,)
        order = assigned.argsort(stable=True)
        rows = order // chosen.shape[1]  # the tokens of expert 0 first
        multiply = self._in_turn if on_cpu else self._grouped
        answers, where = multiply(tokens, rows, assigned[order])
        places = torch.empty_like(order)
        places[order] = where
        # A weighted sum of chosen rows, in one pass.
        counted = weights.to(answers.dtype)
        return F.embedding_bag(
            places.view_as(chosen), answers, per_sample_weights=counted, mode="sum"
        )

    def _of_one(self, token: Tensor, experts: list[int]) -> Tensor:
        """The answers, (k, C), of `experts` to one token, (1, C)."""
        answers = []
        for expert in experts:
            gate_up, down = self._weights(expert, token.dtype)
            answers.append(F.linear(gated(F.linear(token, gate_up)), down))
        return torch.cat(answers)

    def _grouped(self, tokens: Tensor, rows: Tensor, assigned: Tensor) -> tuple[Tensor, Tensor]:
        """Torch's grouped product: on GPUs, and for gradients.

        Args:
            tokens: (N, C).
            rows: (M,) int64, which token a row is; those of expert 0 first.
            assigned: (M,) int64, the expert of each row.

        Returns:
            (M, C), the rows' answers, and (M,) int64, where each is.
        """
        experts = torch.arange(len(self.down_proj), device=rows.device)
        ends = torch.searchsorted(assigned, experts, right=True).to(torch.int32)
        gate_up, down = (w.to(tokens.dtype).mT for w in (self.gate_up_proj, self.down_proj))
        inner = F.grouped_mm(tokens.index_select(0, rows), gate_up, offs=ends)  # (M, 2 H)
        answers = F.grouped_mm(gated(inner), down, offs=ends)
        return answers, torch.arange(len(rows), device=rows.device)

    def _in_turn(self, tokens: Tensor, rows: Tensor, assigned: Tensor) -> tuple[Tensor, Tensor]:
        """The same on a CPU, whose grouped product is no faster than a loop over experts.

        Experts take turns in memory small enough to stay in the cache. Arguments as of `_grouped`;
        where there was padding, there are more answers than rows.
        """
        count, width, hidden = self.down_proj.shape
        counts = assigned.bincount(minlength=count)  # (E,)
        plan = turns(counts.tolist(), 2 * hidden * width, torch.get_num_threads())
        total = sum(turn.rows for turn in plan)
        where = torch.arange(len(rows))
        if total > len(rows):
            heights = [0] * count
            for turn in plan:
                heights[turn.first : turn.end] = [turn.height] * (turn.end - turn.first)
            padding = torch.tensor(heights) - counts
            where += (padding.cumsum(0) - padding).repeat_interleave(counts)
            rows = rows.new_zeros(total).scatter_(0, where, rows)
        answers = tokens.new_empty(total, width)
        parts = [turn.rows for turn in plan]
        for turn, taken, answer in zip(
            plan, torch.split(rows, parts), torch.split(answers, parts), strict=True
        ):
            x = tokens.index_select(0, taken)
            if turn.end - turn.first == 1:
                gate_up, down = self._weights(turn.first, tokens.dtype)
                torch.mm(gated(F.linear(x, gate_up)), down.mT, out=answer)
            else:
                gate_up, down = self._weights(slice(turn.first, turn.end), tokens.dtype)
                inner = torch.bmm(x.view(-1, turn.height, width), gate_up.mT)
                torch.bmm(gated(inner), down.mT, out=answer.view(-1, turn.height, width))
        return answers, where

    def _weights(self, which: int | slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Of some experts; only what is needed, as under autocast this is a copy."""
        return self.gate_up_proj[which].to(dtype), self.down_proj[which].to(dtype)
