"""What a method of reduction leaves of one image's vision tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kept:
    """The tokens of one image that the language model receives.

    Args:
        places: (n,) int64, ascending: which of the image's N tokens, in the order of the sequence,
            gives each of them its place.
        tokens: (n, C).
        sizes: (n,) float32: how many tokens each stands for, where attention is to respect that;
            None where each counts once.
    """

    places: Tensor
    tokens: Tensor
    sizes: Tensor | None = None


def chosen(tokens: Tensor, places: Tensor) -> Kept:
    """Some of the tokens (N, C), unchanged and in their order.

    Args:
        tokens: All of them.
        places: (n,) int64, in any order, none twice.
    """
    places = places.sort().values
    return Kept(places, tokens[places])


def highest(scores: Tensor, count: int) -> Tensor:
    """The places of the highest scores, (..., N) to (..., count) int64, ascending; of equal ones
    the earlier are taken, on every device.
    """
    ranked = scores.sort(dim=-1, descending=True, stable=True).indices
    return ranked[..., :count].sort(dim=-1).values


def unit_length(vectors: Tensor) -> Tensor:
    """(..., C) as float32 vectors of length 1, whose products are cosines; zero stays zero."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1)
