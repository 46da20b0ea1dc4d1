"""Attention with its gradients on a CPU in bfloat16, in parts.

In: queries, keys and values by head, and who sees whom. Out: what each query gathers. As written
out in one piece, but that keys nobody of a part looks at are left out, which in packed sequences
are half of them, and that lengths are rounded up to what the processor multiplies fastest. Rounded
as such products are: scores, weights and answers to bfloat16, sums in float32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812

LANES = 16
"""Numbers that a processor multiplies at once: products of 592 tokens take a tenth less time than
of 577."""
_QUERIES = 256
"""Most queries of a part. More would see more keys that only some of them look at."""
_BLOCK = 64
"""Neighbouring keys that are left out together."""
_VIEWS = 2
"""Sequences of a part where all is seen: their scores, 1.4 MB of a view of the model in the box,
stay in the cache."""


class Part(NamedTuple):
    """Queries and the keys they look at.

    Args:
        rows: Which of the B · H.
        queries: Which of the T.
        keys: Which of the T.
        bias: (Q, K), added to the scores; None for nothing.
    """

    rows: slice
    queries: slice
    keys: Tensor | slice
    bias: Tensor | None

    def of(self, x: Tensor) -> Tensor:
        """The part's of keys or values, (B · H, T, D): (rows, K, D)."""
        rows = x[self.rows]
        if isinstance(self.keys, slice):
            return rows[:, self.keys]
        return rows.index_select(1, self.keys)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add (rows, K, D) to the part's keys among (B · H, T, D)."""
        rows = total[self.rows]
        if isinstance(self.keys, slice):
            rows[:, self.keys].add_(x)
        else:
            rows.index_add_(1, self.keys, x.to(total.dtype))


def attend_in_parts(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Every query's mean of the values, weighted by softmax(q · k / sqrt(D)).

    Args:
        q: (B, H, T, D).
        k: (B, H, T, D).
        v: (B, H, T, D).
        mask: (B or 1, 1, T, T) bool, True where a query looks, which every one does somewhere;
            None where all look everywhere. What is found out about a mask is kept for the next
            call with the same one, so it must not be changed in place.

    Returns:
        (B, H, T, D).
    """
    attended: Tensor = _Attention.apply(q, k, v, mask)  # type: ignore[no-untyped-call]
    return attended


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        length, width = q.shape[2:]
        ctx.shape = q.shape
        queries, keys, values = _rounded_up(q, width**-0.5), _rounded_up(k), _rounded_up(v)
        gathered = torch.empty_like(queries)
        ctx.parts = parts_of(q.shape, mask, queries.dtype)
        weights = []
        for part in ctx.parts:
            asking, asked = queries[part.rows, part.queries], part.of(keys)
            if part.bias is None:
                scores = torch.bmm(asking, asked.mT)  # (rows, Q, K)
                scores[:, :, length:] = -torch.inf
            else:
                scores = torch.baddbmm(part.bias, asking, asked.mT)
            weights.append(scores.softmax(dim=-1))
            torch.bmm(weights[-1], part.of(values), out=gathered[part.rows, part.queries])
        ctx.save_for_backward(queries, keys, values, gathered, *weights)
        return gathered.view(*q.shape[:2], -1, width)[:, :, :length]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values, gathered, *weights = ctx.saved_tensors
        grad = _rounded_up(grad)
        # The derivative of a softmax: P (dP - sum(P dP)), and that sum is the answer's gradient
        # times the answer.
        sums = (grad * gathered).sum(dim=-1, keepdim=True, dtype=torch.float32).neg_()
        sums = sums.to(grad.dtype)
        of_queries = torch.empty_like(queries)
        # Where parts share keys, their sums are not to be rounded as often as there are parts.
        dtype = grad.dtype if ctx.parts[0].bias is None else torch.float32
        of_keys, of_values = (torch.zeros_like(x, dtype=dtype) for x in (keys, values))
        for part, weight in zip(ctx.parts, weights, strict=True):
            here = part.rows, part.queries
            part.add_to(of_values, torch.bmm(weight.mT, grad[here]))
            of_scores = torch.baddbmm(sums[here], grad[here], part.of(values).mT).mul_(weight)
            torch.bmm(of_scores, part.of(keys), out=of_queries[here])
            part.add_to(of_keys, torch.bmm(of_scores.mT, queries[here]))
        length, width = ctx.shape[2:]
        of_queries, of_keys, of_values = (
            x.view(*ctx.shape[:2], -1, width)[:, :, :length]
            for x in (of_queries, of_keys, of_values)
        )
        return of_queries * width**-0.5, of_keys.to(grad.dtype), of_values.to(grad.dtype), None


def _rounded_up(x: Tensor, scale: float = 1.0) -> Tensor:
    """(B, H, T, D) to (B · H, a multiple of `LANES`, D), times `scale`, with zeros behind."""
    batch, heads, length, width = x.shape
    padded = x.new_empty(batch, heads, -(-length // LANES) * LANES, width)
    torch.mul(x, scale, out=padded[:, :, :length])
    padded[:, :, length:] = 0
    return padded.flatten(0, 1)


@lru_cache(maxsize=1)  # the blocks of a decoder share a mask
def parts_of(shape: torch.Size, mask: Tensor | None, dtype: torch.dtype) -> list[Part]:
    """What is multiplied together, every query once.

    Args:
        shape: (B, H, T, D) of the queries.
        mask: As of `attend_in_parts`.
        dtype: Dtype of the scores.
    """
    batch, heads, length = shape[:3]
    rounded = -(-length // LANES) * LANES
    everything = slice(0, rounded)
    if mask is None:
        rows = range(0, batch * heads, _VIEWS * heads)
        return [
            Part(slice(first, first + _VIEWS * heads), everything, everything, None)
            for first in rows
        ]
    # Padding looks everywhere, so that no row is empty, and nobody asks what it finds.
    seen = F.pad(mask[:, 0], (0, rounded - length))
    seen = F.pad(seen, (0, 0, 0, rounded - length), value=True)  # (B or 1, T, T)
    parts = []
    for row in range(batch):
        of_row = seen[row % len(seen)]
        for first in range(0, rounded, _QUERIES):
            queries = slice(first, min(first + _QUERIES, rounded))
            keys = _looked_at(of_row[queries].any(dim=0))
            visible = of_row[queries, keys]
            bias = torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, -torch.inf)
            parts.append(Part(slice(row * heads, (row + 1) * heads), queries, keys, bias))
    return parts


def _looked_at(seen: Tensor) -> Tensor | slice:
    """The keys, (T,) bool, that have one in their block that is looked at: a slice where they are
    the first, else their numbers.
    """
    blocks = F.pad(seen, (0, -len(seen) % _BLOCK)).view(-1, _BLOCK).any(dim=1)
    count = int(blocks.sum())
    if bool(blocks[:count].all()):
        return slice(0, min(count * _BLOCK, len(seen)))
    return blocks.repeat_interleave(_BLOCK)[: len(seen)].nonzero().flatten()
