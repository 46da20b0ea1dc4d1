"""FastV: "An Image is Worth 1/2 Tokens After Layer 2" (2403.06764), section 4.1: after K blocks of
the decoder, the vision tokens that receive the least attention in the K-th leave. Position ids are
kept.

The paper ranks by the mean attention that a token receives from all others; its released code by
what it receives from the last token of the prompt, and keeps the rounded number. Both are here; the
mean is over heads.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention_weights(queries: Tensor, keys: Tensor, sees: Tensor) -> Tensor:
    """What some tokens attend to, for one layer, where the attention kernel gives no weights.

    Args:
        queries: (B, H, Q, D), rotated.
        keys: (B, H or a divisor of it, T, D), rotated.
        sees: (B, Q, T) bool: which token a query looks at.

    Returns:
        (B, Q, T) float32: the mean over heads.
    """
    # Heads that share keys ask together: keys are not repeated.
    shared = queries.reshape(*keys.shape[:2], -1, queries.shape[-1])
    scores = (shared @ keys.mT * queries.shape[-1] ** -0.5).float()
    scores = scores.view(*queries.shape[:3], keys.shape[2])  # (B, H, Q, T)
    weights = scores.masked_fill(~sees.unsqueeze(1), -torch.inf).softmax(dim=-1)
    mean: Tensor = weights.mean(dim=1)
    return mean


def received(weights: Tensor, asks: Tensor) -> Tensor:
    """The mean attention that every token receives.

    Args:
        weights: (B, Q, T), from `attention_weights`.
        asks: (B, Q) bool: whose attention counts, at least one's.

    Returns:
        (B, T).
    """
    counted = asks.to(weights.dtype).unsqueeze(1)  # (B, 1, Q)
    return (counted @ weights).squeeze(1) / counted.sum(dim=-1)
