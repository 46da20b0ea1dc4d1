"""The functions of `torchvision.transforms.v2.functional` that image processors call: shapes only.

Every size that an image was resized or padded to is kept, (height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchvision.transforms import InterpolationMode

__all__ = ["InterpolationMode"]

resized: list[tuple[int, int]] = []
padded: list[tuple[int, int]] = []


def resize(image: torch.Tensor, size: Sequence[int], **_: Any) -> torch.Tensor:
    height, width = int(size[0]), int(size[1])
    if height < 1 or width < 1:
        raise RuntimeError(f"an image of {height} x {width} pixels")
    resized.append((height, width))
    return image.new_empty((*image.shape[:-2], height, width))


def pad(image: torch.Tensor, padding: Sequence[int], **_: Any) -> torch.Tensor:
    left, top, right, bottom = padding
    height, width = image.shape[-2] + top + bottom, image.shape[-1] + left + right
    padded.append((height, width))
    return image.new_empty((*image.shape[:-2], height, width))


def crop(image: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
    return image[..., top : top + height, left : left + width]


def normalize(image: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return image


def grayscale_to_rgb(image: torch.Tensor) -> torch.Tensor:
    return image


def to_dtype(image: torch.Tensor, dtype: torch.dtype, **_: Any) -> torch.Tensor:
    return image.to(dtype)
