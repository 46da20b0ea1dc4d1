"""Crops as the rows of normalised patches that vision transformers take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalised_patches(
    crops: Tensor, patch_size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Cut crops into flattened patches and normalise their colours.

    Args:
        crops: (B, S, S, 3) uint8, or floating point in [0, 1].
        patch_size: Side of a patch, in pixels.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel.

    Returns:
        (B, P, patch_size² · 3) float32; patches row by row, within a patch by height, width,
        channel.
    """
    batch, height, width, _ = crops.shape
    rows, cols = height // patch_size, width // patch_size
    grid = crops.view(batch, rows, patch_size, cols, patch_size, 3)
    patches = grid.transpose(2, 3).reshape(batch, rows * cols, -1)  # (B, P, p · p · 3)
    full_scale = 1.0 if crops.is_floating_point() else 255.0
    means, stds = (
        torch.tensor(values, device=crops.device).repeat(patch_size**2) for values in (mean, std)
    )
    normalised = patches.to(torch.float32, copy=True)
    # In place: another tensor of this size would not stay in a CPU's cache.
    return torch.addcmul(-means / stds, normalised, 1 / (full_scale * stds), out=normalised)
