"""Where the tokens of prompts stand that are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Staying:
    """Where the tokens that stay stand in the whole prompts, shorter prompts padded on the left.

    Args:
        columns: (B, L) int64.
        real: (B, L) bool: which of them are no padding.
    """

    columns: Tensor
    real: Tensor

    def of(self, values: Tensor, padding: Tensor | int) -> Tensor:
        """What stays of one value a token.

        Args:
            values: (B, T).
            padding: What fills the cells that are left over.
        """
        kept = values.gather(1, self.columns)
        return torch.where(self.real, kept, torch.as_tensor(padding).to(kept))


def staying(stays: Tensor) -> Staying:
    """Where the tokens stand that stay.

    Args:
        stays: (B, T) bool, at least one.
    """
    lengths = stays.sum(dim=1)
    length = int(lengths.max())
    # A stable sort moves what stays to the end and keeps its order.
    columns = stays.long().argsort(dim=1, stable=True)[:, -length:]
    real = torch.arange(length, device=stays.device) >= (length - lengths)[:, None]
    return Staying(columns, real)
