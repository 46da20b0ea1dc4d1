"""Which patches each vision token is pooled from, as `transformers`' Molmo2 wants to be told.

In: the positions that `ModelInputs` has of every patch's token. Out: the patches of every token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.tiers.geometry import CropGeometry


def pooled_patches(inputs: ModelInputs, geometry: CropGeometry) -> list[Tensor]:
    """The patches that each vision token of an image is pooled from.

    Args:
        inputs: Whose `image_input_idx` has the position of every patch's token.
        geometry: Geometry of the crops; it says how many patches a token has at most.

    Returns:
        Of every image (L, patches of a window) int64: the numbers of a token's patches among all
        of the image's, crop by crop and row by row; -1 where a window reaches over the edge. Tokens
        are in the order of the prompt. A window that lies in two crops lists one after the other.
    """
    window = geometry.pooling[0] * geometry.pooling[1]
    prompts = inputs.image_index.tolist()
    return [
        _windows(inputs.image_input_idx[prompts.index(image)].flatten(), window)
        for image in range(len(inputs.pixels))
    ]


def _windows(positions: Tensor, window: int) -> Tensor:
    """Group patches (M,) by their token's position; a negative one is dropped."""
    order = positions.argsort(stable=True)[(positions < 0).sum() :]
    placed = positions[order]
    token = (placed.diff(prepend=placed[:1]) != 0).cumsum(0)
    sizes = token.bincount()
    place = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[token]
    patches = order.new_full((len(sizes), window), -1)
    patches[token, place] = order
    return patches
