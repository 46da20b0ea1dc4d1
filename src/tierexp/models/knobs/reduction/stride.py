"""Every so manieth token, in the order of the sequence: regular subsampling."""

from __future__ import annotations

import torch
from torch import Tensor


def strided_places(num_tokens: int, count: int) -> Tensor:
    """(count,) int64: the i-th is floor((2 i + 1) N / 2 n), the middle of the i-th of n equal
    parts.

    Args:
        num_tokens: N, of the image.
        count: n, that are kept.
    """
    return (2 * torch.arange(count) + 1) * num_tokens // (2 * count)
