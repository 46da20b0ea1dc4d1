"""Rotary position embedding (Su et al., 2021) in the half-split layout, in float32.

In: positions, then queries or keys. Out: the same, rotated. Channel i of a head is paired with
channel i + D/2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_angles(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position.

    Args:
        positions: (B, T) int64.
        head_dim: Channels D of a head.
        theta: Base of the frequencies.

    Returns:
        Two (B, 1, T, D / 2) float32: room for heads on axis 1.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    frequencies = 1.0 / theta ** (exponents / head_dim)  # (D / 2,)
    angles = positions[:, None, :, None].float() * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys, (B, H, T, D), by `rotary_angles`; the dtype stays."""
    cos, sin = angles
    first, second = x.float().chunk(2, dim=-1)
    rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return rotated.to(x.dtype)
