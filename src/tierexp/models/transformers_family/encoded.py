"""What a network of `transformers` says of images, and how the tokens stand in them.

In: tensors as the family's processor makes them. Out: the features that the language model would
receive, row by row of the batch, by the network's own `get_image_features`; what an encoder with a
class token attends to; the grids that the tokens stand in.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.cls_attention import (
    class_attention,
    patches_as_tokens,
    window_means,
)
from tierexp.models.plans.family import LibraryClasses
from tierexp.models.plans.plan import Grid


@dataclass(frozen=True)
class EncodedRows:
    """The images of R rows.

    Args:
        output: The network's own.
        features: Features of every row (N, C), in the order of its prompt.
        scores: Scores of every row (N,), what the class token attends to; empty where nobody asked.
        keys: Keys of every row (N, D), the mean over heads; empty where nobody asked.
    """

    output: Any
    features: Sequence[Tensor]
    scores: Sequence[Tensor] = ()
    keys: Sequence[Tensor] = ()


def encode(
    network: Any,
    tensors: Mapping[str, Tensor],
    counts: Sequence[int],
    library: LibraryClasses,
    class_token: bool = False,
) -> EncodedRows:
    """Encode the images of rows.

    Args:
        network: The library's.
        tensors: As the processor names them.
        counts: Vision tokens of every row.
        library: The family's.
        class_token: Whether its attention is asked for; the encoder has one then.
    """
    told = image_arguments(network, tensors)
    rows = list(counts)
    if not class_token or library.class_token is None:
        output = network.model.get_image_features(**told, return_dict=True)
        return EncodedRows(output, torch.split(joined(output.pooler_output), rows))
    # The attention kernel gives no weights: they are computed from what it is given.
    attention, side = library.class_token(network)
    windows = (library.merged_side(network.config),) * 2
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
    network: Any,
    tensors: Mapping[str, Tensor],
    row: int,
    features: Tensor,
    library: LibraryClasses,
) -> list[Grid]:
    """Rows and columns of the grids that a row's vision tokens stand in, one after the other.

    Args:
        network: The library's.
        tensors: Tensors of all rows.
        row: Which of them.
        features: Its vision tokens, (N, C).
        library: The family's.
    """
    config = network.config
    if "image_grid_thw" in tensors:
        merged = config.vision_config.spatial_merge_size
        _, rows, cols = tensors["image_grid_thw"][row].tolist()
        return [(rows // merged, cols // merged)]
    vision, merged = config.vision_config, library.merged_side(config)
    side = _first(vision.image_size) // _first(vision.patch_size) // merged
    if not library.marked_rows:
        return [(side, side)] * (len(features) // side**2)
    # The canvas has lost its padding, and each of its rows ends in a token that says so.
    canvas = features[side**2 :]
    ends = (canvas == network.model.image_newline.to(canvas.dtype)).all(dim=1)
    cols = int(ends.nonzero()[0]) + 1
    return [(side, side), (len(canvas) // cols, cols)]


def _first(sides: int | Sequence[int]) -> int:
    """Height, of which configurations give one number or two."""
    return sides if isinstance(sides, int) else sides[0]
