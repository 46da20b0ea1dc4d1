"""Any tokens at all: what a method has to beat.

"Token Pruning in Multimodal Large Language Models: Are We Solving the Right Problem?" (2502.11501)
and "Are We Using the Right Benchmark" (2510.07143) compare with it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_places(num_tokens: int, count: int, seed: int) -> Tensor:
    """(count,) int64, every subset equally likely; the same on every device.

    Args:
        num_tokens: Num tokens of the image.
        count: That are kept.
        seed: Seed of this image's draw.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(num_tokens, generator=generator)[:count].sort().values
