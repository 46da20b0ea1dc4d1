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

ROWS_STEP = 256
"""Experts are padded to a multiple of so many rows where a CPU computes gradients in bfloat16."""

FULL = 0.6
"""Fraction of what is padded to equal numbers of tokens that has to be tokens for it to pay."""


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
        threads: Threads of the CPU.

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


def grouped_product_waits(dtype: torch.dtype, capability: tuple[int, int]) -> bool:
    """Whether torch's grouped product asks an NVIDIA GPU how many tokens each expert has, and waits
    for the answer: all but Hopper and later in bfloat16 multiply expert by expert.

    Args:
        dtype: Dtype of tokens and weights.
        capability: The GPU's, (major, minor).
    """
    return dtype != torch.bfloat16 or capability < (9, 0)


def gated(inner: Tensor) -> Tensor:
    """The silu of the first half of the channels, times the second."""
    gate, up = inner.chunk(2, dim=-1)
    return F.silu(gate, inplace=not torch.is_grad_enabled()) * up


class Experts(nn.Module):
    """Gated linear units `down(silu(gate x) · up x)`, their weights stacked: `gate_up_proj`,
    (E, 2 H, C), gate first, and `down_proj`, (E, C, H).

    Args:
        num_experts: How many.
        width: Channels of a token.
        hidden_width: Channels inside an expert.
    """

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        # In memory a row belongs to an input, not to an output as in a linear layer: a product of
        # few tokens is then up to a fifth faster on a CPU, in decoding and at a small width.
        self.gate_up_proj = nn.Parameter(torch.empty(num_experts, width, 2 * hidden_width).mT)
        self.down_proj = nn.Parameter(torch.empty(num_experts, hidden_width, width).mT)

    def forward(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Send every token through its experts and add up what they answer.

        Args:
            tokens: (N, C).
            chosen: (N, k) int64, the experts of each token.
            weights: (N, k), what their answers count.

        Returns:
            (N, C).
        """
        counted = weights.to(tokens.dtype)
        if tokens.device.type != "cpu" and self.grouped_product_fits(tokens.dtype):
            return self._grouped(tokens, chosen, counted)
        if torch.is_grad_enabled():
            return self._one_by_one(tokens, chosen, counted)
        if len(tokens) == 1:
            return counted @ self._of_one(tokens, chosen[0].tolist())
        return self._in_turn(tokens, chosen, counted)

    def grouped_product_fits(self, dtype: torch.dtype) -> bool:
        """Whether torch's grouped product takes these widths: rows that are multiples of 16 bytes.
        Where it does not, experts are multiplied as on a CPU, and the host waits for each layer.
        """
        _, width, hidden = self.down_proj.shape
        return (width * dtype.itemsize) % 16 == 0 and (hidden * dtype.itemsize) % 16 == 0

    def _of_one(self, token: Tensor, experts: list[int]) -> Tensor:
        """The answers, (k, C), of `experts` to one token, (1, C)."""
        answers = []
        for expert in experts:
            gate_up, down = self._weights(expert, token.dtype)
            answers.append(F.linear(gated(F.linear(token, gate_up)), down))
        return torch.cat(answers)

    def _grouped(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Torch's grouped product, on GPUs."""
        order, rows = _by_expert(chosen)
        experts = torch.arange(len(self.down_proj), device=rows.device)
        ends = torch.searchsorted(chosen.flatten()[order], experts, right=True).to(torch.int32)
        gate_up, down = (w.to(tokens.dtype).mT for w in (self.gate_up_proj, self.down_proj))
        inner = F.grouped_mm(tokens.index_select(0, rows), gate_up, offs=ends)  # (M, 2 H)
        answers = F.grouped_mm(gated(inner), down, offs=ends)  # (M, C)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        return _weighted_sums(answers, place, weights)

    def _one_by_one(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """The same for gradients on a CPU, expert by expert. In bfloat16 every one is padded to a
        number of rows in steps, because torch makes a kernel of its own for every shape, which
        takes ten times as long as the product.
        """
        order, rows = _by_expert(chosen)
        count = len(self.down_proj)
        counts = chosen.flatten().bincount(minlength=count)  # (E,)
        step = ROWS_STEP if tokens.dtype == torch.bfloat16 else 1
        heights = (counts + step - 1) // step * step  # (E,)
        sizes, places = heights.tolist(), _padded_places(counts, heights)
        # Padding is the first token; nobody asks what becomes of it.
        taken = rows.new_zeros(sum(sizes)).scatter_(0, places, rows)
        gate_up, down = (w.to(tokens.dtype).mT for w in (self.gate_up_proj, self.down_proj))
        x = torch.split(tokens.index_select(0, taken), sizes)
        answers = torch.cat(
            [
                gated(part @ of_expert) @ of_answer
                for part, of_expert, of_answer in zip(x, gate_up, down, strict=True)
                if len(part)
            ]
        )
        place = torch.empty_like(order)
        place[order] = places
        return _weighted_sums(answers, place, weights)

    def _in_turn(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """The same on a CPU, where torch's grouped product is no faster than a loop over experts;
        and where that product does not take the widths.

        Experts take turns, and each turn's answers are added up before the next: what is in memory
        meanwhile is small and stays in the cache.
        """
        order, rows = _by_expert(chosen)
        weights = weights.flatten().index_select(0, order)  # (M,)
        count, width, hidden = self.down_proj.shape
        counts = chosen.flatten().bincount(minlength=count)  # (E,)
        plan = turns(counts.tolist(), 2 * hidden * width, torch.get_num_threads())
        sizes = [turn.rows for turn in plan]
        if sum(sizes) > len(rows):
            heights = [0] * count
            for turn in plan:
                heights[turn.first : turn.end] = [turn.height] * (turn.end - turn.first)
            place = _padded_places(counts, torch.tensor(heights, device=rows.device))
            # Padding is the first token, which counts nothing.
            rows, weights = (t.new_zeros(sum(sizes)).scatter_(0, place, t) for t in (rows, weights))
        # In bfloat16 a sum of many answers would be rounded as many times.
        total = tokens.new_zeros(tokens.shape, dtype=torch.float32)  # (N, C)
        parts = zip(
            plan, torch.split(rows, sizes), torch.split(weights[:, None], sizes), strict=True
        )
        for turn, taken, weight in parts:
            x = tokens.index_select(0, taken)
            if turn.end - turn.first == 1:
                gate_up, down = self._weights(turn.first, tokens.dtype)
                answers = F.linear(gated(F.linear(x, gate_up)).mul_(weight), down)
            else:
                gate_up, down = self._weights(slice(turn.first, turn.end), tokens.dtype)
                shape = (turn.end - turn.first, turn.height, -1)
                inner = gated(torch.bmm(x.view(shape), gate_up.mT)).mul_(weight.view(shape))
                answers = torch.bmm(inner, down.mT).flatten(0, 1)
            total.index_add_(0, taken, answers.to(total.dtype))
        return total.to(tokens.dtype)

    def _weights(self, which: int | slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weights of some experts; only what is needed, as under autocast this is a copy."""
        return self.gate_up_proj[which].to(dtype), self.down_proj[which].to(dtype)


def _weighted_sums(answers: Tensor, place: Tensor, weights: Tensor) -> Tensor:
    """(N, C): every token's answers, each times its weight, (N, k), added up; they are at `place`,
    (N k,), among `answers`, (rows, C).
    """
    chosen = answers.index_select(0, place).view(*weights.shape, -1)  # (N, k, C)
    return torch.bmm(weights.unsqueeze(1), chosen).squeeze(1)


def _padded_places(counts: Tensor, heights: Tensor) -> Tensor:
    """Where rows that are sorted by expert, (M,), lie once each expert's `counts`, (E,) int64, are
    padded to `heights`, (E,) int64.
    """
    padding = heights - counts
    before = (padding.cumsum(0) - padding).repeat_interleave(counts)  # (M,)
    return torch.arange(len(before), device=before.device) + before


def _by_expert(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The order, (N k,), that sorts what every token chose, (N, k), by expert; and the token of
    each row then.
    """
    order = chosen.flatten().argsort(stable=True)
    return order, order // chosen.shape[1]
