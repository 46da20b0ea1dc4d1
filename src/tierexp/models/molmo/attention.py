"""Scaled dot-product attention, of the vision encoder, the connector and the decoder alike.

In: queries, keys and values by head. Out: what each query gathers. Knows nothing about projections
or positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.models.molmo.attention_in_parts import LANES, attend_in_parts

_PART = 96
"""Queries that are answered together where some keys are nobody's: 419 tokens take a CPU 1.3 ms in
parts of 64 or 96, 1.4 in parts of 192, and 1.7 at once (one core of an AMD EPYC, 4 heads of 40)."""
_KEYS = 512
"""Keys that the fused kernel of CPUs takes together, whether or not a query sees them."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Every query's mean of the values, weighted by softmax(q · k / sqrt(D)).

    Args:
        q: (B, H, Q, D).
        k: (B, H or a divisor of it, K, D): neighbouring query heads share a key head.
        v: (B, as many heads as `k`, K, D).
        mask: Broadcast to (B, H, Q, K): bool, True where a query looks, or float, added to the
            scores.
        causal: Instead of a mask: query i looks at keys 0 to i.

    Returns:
        (B, H, Q, D).
    """
    # The fused kernel's backward pass on CPUs is slow in bfloat16: a layer of 7 crops takes 34 ms
    # written out, forward and backward, and 65 ms fused (torch 2.13, one core, 2 heads of 64).
    on_cpu = q.device.type == "cpu" and q.dtype == torch.bfloat16
    write_out = on_cpu and q.requires_grad and torch.is_grad_enabled()
    shared_by = q.shape[1] // k.shape[1]
    if shared_by > 1 and (write_out or mask is not None):
        # With a mask, no fused kernel of a GPU takes grouped heads, and to repeat the keys would
        # be the traffic of the whole cache, as often as a head is shared, for every token.
        if mask is not None and q.device.type != "cpu":
            return attend_as_groups(q, k, v, mask)
        k, v = (t.repeat_interleave(shared_by, dim=1) for t in (k, v))
    long = q.shape[2] == k.shape[2] >= LANES
    if mask is None and not causal and long and shared_by == 1:
        # The encoder's forward pass, too, takes 79 ms for 30 crops fused, and 50 in parts (an AMD
        # EPYC). A model that is not being trained keeps what the fused kernel does not round.
        write_out |= on_cpu and torch.is_autocast_enabled("cpu")
    if write_out:
        for_all_heads = mask is None or (
            mask.dtype == torch.bool and mask.dim() == 4 and mask.shape[1] == 1
        )
        if long and for_all_heads and not causal:
            return attend_in_parts(q, k, v, mask)
        return _written_out(q, k, v, mask, causal)
    plain = q.dtype == torch.float32 and shared_by == 1 and not torch.is_grad_enabled()
    if causal and plain and q.device.type == "cpu" and _PART < k.shape[2] <= _KEYS:
        return _causal_in_parts(q, k, v)
    attended: Tensor = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
    )
    return attended


def _causal_in_parts(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of a few hundred tokens, of which the fused kernel for CPUs would multiply
    every query with every key: some queries at a time, with the keys up to the last of them.
    """
    length = q.shape[2]
    count = -(-length // _PART)
    step = -(-length // count)
    # The mask of the last part; others are what is left of it without its first columns.
    mask = q.new_zeros(step, count * step)
    mask[:, -step:].masked_fill_(q.new_ones(step, step, dtype=torch.bool).triu_(1), -torch.inf)
    attended = torch.empty_like(q)
    for first in range(0, length, step):
        end = min(first + step, length)
        behind = (count - 1) * step - first
        attended[:, :, first:end] = F.scaled_dot_product_attention(
            q[:, :, first:end],
            k[:, :, :end],
            v[:, :, :end],
            attn_mask=mask[: end - first, behind : behind + end],
        )
    return attended


def attend_as_groups(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """As `attend` with a mask; the heads that share a key head are further queries of that head.

    Args:
        q: (B, H, Q, D).
        k: (B, a divisor of H, K, D).
        v: As `k`.
        mask: Broadcast to (B, 1, Q, K).
    """
    (batch, heads, queries, width), kv_heads = q.shape, k.shape[1]
    group = heads // kv_heads
    folded = q.reshape(batch, kv_heads, group * queries, width)
    if queries > 1:
        mask = mask.expand(-1, 1, queries, -1).repeat(1, 1, group, 1)
    attended: Tensor = F.scaled_dot_product_attention(folded, k, v, attn_mask=mask)
    return attended.view(batch, heads, queries, width)


def _written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.mT  # (B, H, Q, K)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None and mask.dtype == torch.bool:
        # Added, not filled in: the backward pass of an addition costs nothing.
        mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    if mask is not None:
        scores = scores + mask
    attended: Tensor = scores.softmax(dim=-1).to(v.dtype) @ v  # (B, H, Q, D)
    return attended


class Attention(nn.Module):
    """`attend` as a module, so that hooks can see who looks where."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """As `attend`."""
        return attend(q, k, v, mask, causal)
