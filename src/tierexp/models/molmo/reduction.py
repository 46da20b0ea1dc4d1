"""Fewer vision tokens in Molmo's prompts, decided before the language model reads them.

In: a batch of prompts and what the encoder says of their images. Out: shorter prompts, and the
features that go into them. What is an image token is read off its positions; every other token
stays. Positions are counted anew: prompts are as if the tokens had never been, as the methods that
work before the language model publish it, and as training drops tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import Kept, chosen, highest
from tierexp.models.knobs.reduction.merge import merged
from tierexp.models.knobs.reduction.of_tokens import OF_TOKENS_ALONE, kept_of_tokens
from tierexp.models.knobs.reduction.settings import Reduction, VisionZip
from tierexp.models.knobs.reduction.vision_zip import dominant_and_contextual
from tierexp.models.molmo.vision_backbone import Encoded
from tierexp.models.protocol import ModelInputs

LOOKS_AT_ENCODER = ("cls_attention", "vision_zip", "merge")
"""Methods that need more of the encoder than its output."""


@dataclass(frozen=True)
class Prompts:
    """What the language model is to read.

    Args:
        inputs: The prompts; of their images not the pixels.
        features: (I, N, K, C), added at `inputs.image_input_idx`.
        sizes: (I, N, K) float32: how many tokens each stands for, where attention respects that.
    """

    inputs: ModelInputs
    features: Tensor
    sizes: Tensor | None = None


def reduced(inputs: ModelInputs, encoded: Encoded, reduction: Reduction) -> Prompts:
    """Prompts with as many vision tokens of every image as a method keeps.

    Args:
        inputs: The prompts.
        encoded: Their images.
        reduction: Not one that works in the decoder.

    Raises:
        ConfigError: More tokens are asked for than an image has.
    """
    positions = inputs.image_input_idx.flatten(1)  # (B, N · K)
    first = _first_prompts(inputs.image_index, len(encoded.features))
    orders = [_in_sequence(positions[row]) for row in first]
    counts = [reduction.count(len(order)) for order in orders]
    if all(count == len(order) for count, order in zip(counts, orders, strict=True)):
        return Prompts(inputs, encoded.features)
    kept = [
        _keep(reduction, encoded, image, orders[image], count, inputs, first[image])
        for image, count in enumerate(counts)
    ]
    longest = max(counts)
    features = encoded.features.new_zeros(len(kept), 1, longest, encoded.features.shape[-1])
    sizes = features.new_ones(len(kept), 1, longest, dtype=torch.float32)
    for image, of_image in enumerate(kept):
        features[image, 0, : counts[image]] = of_image.tokens
        if of_image.sizes is not None:
            sizes[image, 0, : counts[image]] = of_image.sizes
    respected = any(of_image.sizes is not None for of_image in kept)
    places = [orders[image][of_image.places] for image, of_image in enumerate(kept)]
    return Prompts(_shortened(inputs, places), features, sizes if respected else None)


def _keep(
    reduction: Reduction,
    encoded: Encoded,
    image: int,
    order: Tensor,
    count: int,
    inputs: ModelInputs,
    row: int,
) -> Kept:
    """One image's tokens."""
    tokens = encoded.features[image].flatten(0, 1)[order]  # (N, C)
    if count == len(tokens):
        return chosen(tokens, torch.arange(count, device=tokens.device))
    if reduction.method in OF_TOKENS_ALONE:
        places = inputs.image_input_idx[row].flatten()[order]
        return kept_of_tokens(reduction, tokens, places, inputs.crops[image], count)
    assert encoded.scores is not None
    assert encoded.keys is not None
    scores = encoded.scores[image].flatten()[order]
    keys = encoded.keys[image].flatten(0, 1)[order]
    match reduction.method:
        case "cls_attention":
            return chosen(tokens, highest(scores, count))
        case "vision_zip":
            assert isinstance(reduction, VisionZip)
            return dominant_and_contextual(tokens, scores, keys, count, reduction.contextual)
        case "merge":
            return merged(tokens, keys, count)
        case method:
            raise ValueError(f"{method} works in the decoder")


def _first_prompts(image_index: Tensor, images: int) -> list[int]:
    """The first prompt about each image."""
    rows = image_index.tolist()
    return [rows.index(image) for image in range(images)]


def _in_sequence(positions: Tensor) -> Tensor:
    """Which of the tokens (N · K,) the language model receives, in the order of its sequence."""
    received = (positions >= 0).nonzero().squeeze(1)
    return received[positions[received].argsort()]


def _shortened(inputs: ModelInputs, places: list[Tensor]) -> ModelInputs:
    """Prompts without the image tokens that are not kept, padded on the left.

    Args:
        inputs: Of all image tokens.
        places: Of every image, (n,) int64: which of its N · K tokens are kept, in the order of the
            sequence.
    """
    ids, positions = inputs.input_ids, inputs.image_input_idx.flatten(1)
    device, longest = ids.device, max(len(kept) for kept in places)
    sequences, image_places = [], []
    for row, image in enumerate(inputs.image_index.tolist()):
        stays = inputs.attention_mask[row].clone()
        stays[positions[row][positions[row] >= 0]] = False
        at = positions[row][places[image]]  # (n,)
        stays[at] = True
        sequences.append(stays.nonzero().squeeze(1))
        image_places.append((stays.cumsum(0) - 1)[at])
    length = max(map(len, sequences))
    columns = torch.full((len(ids), length), -1, device=device)
    idx = torch.full((len(ids), 1, longest), -100, device=device)
    for row, (stay, at) in enumerate(zip(sequences, image_places, strict=True)):
        padding = length - len(stay)
        columns[row, padding:] = stay
        idx[row, 0, : len(at)] = at + padding
    real = columns >= 0
    return replace(
        inputs,
        input_ids=ids.gather(1, columns.clamp(min=0)).where(real, ids[:1, :1]),
        attention_mask=real,
        image_input_idx=idx,
    )
