"""FasterVLM: "[CLS] Attention is All You Need for Training-Free Visual Token Pruning" (2412.01818):
the tokens that the encoder's class token attends to most, by

    a = softmax(q_cls K^T / sqrt(D)), the mean over heads.

Of several views each has a softmax of its own, as in the released code, which keeps as many tokens
of each view; here all are ranked together, so that the number kept is of the image. A vision token
is pooled from a window of patches and has the mean of their weights.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def class_attention(query: Tensor, keys: Tensor) -> Tensor:
    """What the class token attends to.

    Args:
        query: (V, H, D), of the class token in each of V views.
        keys: (V, H, 1 + P, D), of the class token and the patches.

    Returns:
        (V, P) float32: the mean over heads, without the weight of the class token itself.
    """
    # One query a view: a matrix product would copy the keys first, which are not laid out by heads.
    scores = (keys * query.float().unsqueeze(2)).sum(dim=-1) * query.shape[-1] ** -0.5
    weights: Tensor = scores.softmax(dim=-1).mean(dim=1)[:, 1:]  # of (V, H, 1 + P)
    return weights


def window_means(of_patches: Tensor, side: int, pooling: tuple[int, int]) -> Tensor:
    """The mean over the patches of each vision token's window; of a window that reaches over the
    edge, over those that exist.

    Args:
        of_patches: (V, P, C), row by row.
        side: Patches along one side: P is its square.
        pooling: Patches of a window, (height, width).

    Returns:
        (V, K, C), row by row.
    """
    views, _, channels = of_patches.shape
    grid = of_patches.mT.reshape(views, channels, side, side)
    pooled: Tensor = F.avg_pool2d(grid, pooling, ceil_mode=True, count_include_pad=False)
    return pooled.flatten(2).mT


def patches_as_tokens(of_patches: Tensor, side: int, pooling: tuple[int, int]) -> Tensor:
    """`window_means` of one number a patch, (V, P) to (V, K)."""
    return window_means(of_patches.unsqueeze(-1), side, pooling).squeeze(-1)
