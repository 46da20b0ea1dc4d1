"""Which token looks at which, and where it stands, when a batch is padded on the left.

In: the attention mask of a batch. Out: positions for the rotary embedding and the mask for
`scaled_dot_product_attention`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def token_positions(attention_mask: Tensor) -> Tensor:
    """Positions counted from the first token that is not padding: (B, T) bool to (B, T) int64."""
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)


def causal_mask(attention_mask: Tensor, queries: int) -> Tensor:
    """Where the last `queries` tokens look: at themselves, and at earlier tokens that are no
    padding.

    Padding looks at itself, because a softmax over nothing is not a number and would spread.

    Args:
        attention_mask: (B, T) bool, False on padding.
        queries: How many tokens ask.

    Returns:
        (B, 1, queries, T) bool.
    """
    keys = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    asking = keys[len(keys) - queries :, None]
    visible = (keys < asking) & attention_mask[:, None, None, :]
    return visible | (keys == asking)
