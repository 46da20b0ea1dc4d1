"""Prompts without the tokens that are not kept."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tierexp.models.protocol import ModelInputs


def shortened(inputs: ModelInputs, stays: Tensor) -> ModelInputs:
    """Prompts of the tokens that stay, padded on the left; positions of images are not changed.

    Args:
        inputs: The whole prompts.
        stays: (B, T) bool.
    """
    lengths = stays.sum(dim=1)
    length = int(lengths.max())
    # A stable sort moves what stays to the end and keeps its order.
    columns = stays.long().argsort(dim=1, stable=True)[:, -length:]
    real = torch.arange(length, device=stays.device) >= (length - lengths)[:, None]
    ids = inputs.input_ids.gather(1, columns).where(real, inputs.input_ids[:1, :1])
    return replace(inputs, input_ids=ids, attention_mask=real)
