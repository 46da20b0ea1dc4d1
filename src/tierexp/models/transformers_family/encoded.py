"""What a network of `transformers` says of images, and how the tokens stand in them.

In: tensors as the family's processor makes them. Out: the features that the language model would
receive, row by row of the batch, by the network's own `get_image_features`; what an encoder with a
class token attends to; the grids that the tokens stand in.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.cls_attention import (
    class_attention,
    patches_as_tokens,
    window_means,
)
from tierexp.models.plans.plan import Grid


@dataclass(frozen=True)
class EncodedRows:
    """The images of R rows.

    Args:
        output: The network's own.
        features: Of every row (N, C), in the order of its prompt.
        scores: Of every row (N,), what the class token attends to; empty where nobody asked.
        keys: Of every row (N, D), the mean over heads; empty where nobody asked.
    """

    output: Any
    features: Sequence[Tensor]
    scores: Sequence[Tensor] = ()
    keys: Sequence[Tensor] = ()


def encode(
    network: Any, tensors: Mapping[str, Tensor], counts: Sequence[int], class_token: bool = False
) -> EncodedRows:
    """Encode the images of rows.

    Args:
        network: The library's.
        tensors: As the processor names them.
        counts: Vision tokens of every row.
        class_token: Whether its attention is asked for; the encoder has one, as InternVL's.
    """
    told = image_arguments(network, tensors)
    rows = list(counts)
    if not class_token:
        output = network.model.get_image_features(**told, return_dict=True)
        return EncodedRows(output, torch.split(joined(output.pooler_output), rows))
    # The attention kernel gives no weights: they are computed from what it is given.
    attention, side, windows = _last_block(network)
    seen: dict[Any, Tensor] = {}
    parts = attention.q_norm, attention.k_norm
    hooks = [
        p.register_forward_hook(lambda part, _, made: seen.update({part: made})) for p in parts
    ]
    try:
        output = network.model.get_image_features(**told, return_dict=True)
    finally:
        for hook in hooks:
            hook.remove()
    queries, keys = (
        seen[part].view(*seen[part].shape[:2], attention.num_heads, -1).transpose(1, 2)
        for part in parts
    )  # (V, H, 1 + P, D)
    scores = patches_as_tokens(class_attention(queries[:, :, 0], keys), side, windows)
    means = window_means(keys[:, :, 1:].mean(dim=1), side, windows)
    return EncodedRows(
        output,
        torch.split(joined(output.pooler_output), rows),
        torch.split(scores.flatten(), rows),
        torch.split(means.flatten(0, 1), rows),
    )


def image_arguments(network: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of rows' tensors the encoder is told."""
    asked = inspect.signature(network.model.get_image_features).parameters
    return {name: tensors[name] for name in asked if name in tensors}


def joined(features: Tensor | Sequence[Tensor]) -> Tensor:
    """The tokens of all images, (N, C), however a family hands them out."""
    if isinstance(features, Tensor):
        return features.flatten(0, -2)
    return torch.cat([of_image.flatten(0, -2) for of_image in features])


def token_grids(
    network: Any, tensors: Mapping[str, Tensor], row: int, features: Tensor
) -> list[Grid]:
    """Rows and columns of the grids that a row's vision tokens stand in, one after the other.

    Args:
        network: The library's.
        tensors: Of all rows.
        row: Which of them.
        features: Its vision tokens, (N, C).
    """
    config = network.config
    if "image_grid_thw" in tensors:
        merged = config.vision_config.spatial_merge_size
        _, rows, cols = tensors["image_grid_thw"][row].tolist()
        return [(rows // merged, cols // merged)]
    side = isqrt(tokens_per_view(config))
    if config.model_type != "llava_onevision":
        return [(side, side)] * (len(features) // side**2)
    # The canvas has lost its padding, and each of its rows ends in a token that says so.
    canvas = features[side**2 :]
    ends = (canvas == network.model.image_newline.to(canvas.dtype)).all(dim=1)
    cols = int(ends.nonzero()[0]) + 1
    return [(side, side), (len(canvas) // cols, cols)]


def tokens_per_view(config: Any) -> int:
    """Vision tokens of one of the squares that the encoder sees."""
    if config.model_type == "gemma3":
        return int(config.mm_tokens_per_image)
    side, patch = (
        value if isinstance(value, int) else value[0]
        for value in (config.vision_config.image_size, config.vision_config.patch_size)
    )
    merged = {
        "internvl": lambda: round(1 / config.downsample_ratio),
        "idefics3": lambda: config.scale_factor,
        "smolvlm": lambda: config.scale_factor,
    }.get(config.model_type, lambda: 1)()
    return int(side // patch // merged) ** 2


def _last_block(network: Any) -> tuple[Any, int, tuple[int, int]]:
    """InternVL's attention of the block whose output is used, patches along a side, and those that
    become one token.
    """
    config = network.config
    layer = config.vision_feature_layer
    blocks = network.model.vision_tower.encoder.layer
    side = config.vision_config.image_size[0] // config.vision_config.patch_size[0]
    merged = round(1 / config.downsample_ratio)
    # Hidden states begin with what enters the first block.
    return blocks[layer if layer < 0 else layer - 1].attention, side, (merged, merged)
