"""RMS normalisation (Zhang and Sennrich, 2019)."""

from __future__ import annotations

from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` in the precision of its weight: under autocast its input is narrower."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return super().forward(x.to(self.weight.dtype))
