"""What the parts of vision encoders cost, for the families that `transformers` answers for: patches
to operations.

In: a model's configuration and the patches of each image that its encoder sees. Out: operations,
counted as in `tierexp.models.transformers_family.flops`; None where it is not known how an encoder
computes. Which parts a family has is said in its folder, `encoder.py`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tierexp.models.plans.plan import Grid

_PLAIN_ENCODERS = {
    "clip_vision_model": 1, "idefics3_vision": 0, "internvl_vision": 1, "siglip_vision_model": 0,
    "smolvlm_vision": 0,
}  # fmt: skip
"""Encoders of square crops whose patches all see each other, and how many tokens stand beside the
patches."""


def linear_flops(rows: int, *widths: int) -> int:
    """Operations of layers one after another, each from one width to the next."""
    return sum(2 * rows * before * after for before, after in pairwise(widths))


def encoder_flops(
    sequences: Iterable[int], width: int, mlp_width: int, *, gated: bool = False
) -> int:
    """Operations of one block whose tokens see all tokens of their sequence, both ways.

    Args:
        sequences: Their lengths.
        width: Width of the tokens, and of all heads together.
        mlp_width: Between the two layers, or three of a gated one.
        gated: Whether there are three.
    """
    per_token = 8 * width * width + (6 if gated else 4) * width * mlp_width
    return sum(tokens * (per_token + 4 * tokens * width) for tokens in sequences)


def _plain_encoder(vision: Any, grids: Sequence[Grid]) -> int | None:
    beside = _PLAIN_ENCODERS.get(vision.model_type)
    if beside is None or getattr(vision, "vision_use_head", False):
        return None
    side = vision.patch_size
    area = side * side if isinstance(side, int) else side[0] * side[1]
    lengths = [rows * cols + beside for rows, cols in grids]
    embedding = linear_flops(patches(grids), area * vision.num_channels, vision.hidden_size)
    block = encoder_flops(lengths, vision.hidden_size, vision.intermediate_size)
    return embedding + int(vision.num_hidden_layers) * block


def projected(config: Any, grids: Sequence[Grid], rows: int, *widths: int) -> int | None:
    """Operations of a plain encoder, and of bringing its features to the language model's width.

    Args:
        config: The model's.
        grids: Rows and columns of patches of every image that the encoder sees.
        rows: Features that are brought there.
        widths: Widths of a feature, and of what each layer makes of it.
    """
    encoder = _plain_encoder(config.vision_config, grids)
    return None if encoder is None else encoder + linear_flops(rows, *widths)


def patches(grids: Sequence[Grid]) -> int:
    """How many there are in all images together."""
    return sum(rows * cols for rows, cols in grids)
