"""In which precision a model's weights and activations are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from tierexp.config.checks import choice

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""The dtype of weights and activations; `auto` is bfloat16 on a GPU and float32 elsewhere."""


def check_precision(precision: object) -> None:
    """A known precision.

    Raises:
        ConfigError: It is none.
    """
    choice("model.dtype", precision, get_args(Precision))


def torch_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What a precision is on a device."""
    import torch

    automatic = torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = automatic if precision == "auto" else getattr(torch, precision)
    return dtype
