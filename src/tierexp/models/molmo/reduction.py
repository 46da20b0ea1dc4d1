"""Fewer vision tokens in Molmo's prompts, decided before the language model reads them.

In: a batch of prompts and what the encoder says of their images. Out: shorter prompts, and the
features that go into them. What is an image token is read off its positions; every other token
stays. Positions are counted anew: prompts are as if the tokens had never been, as the methods that
work before the language model publish it, and as training drops tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tierexp.models.knobs.reduction.kept import Kept, chosen, highest
from tierexp.models.knobs.reduction.merge import merged
from tierexp.models.knobs.reduction.of_tokens import OF_TOKENS_ALONE, grids_of, kept_of_tokens
from tierexp.models.knobs.reduction.settings import Reduction, VisionZip
from tierexp.models.knobs.reduction.vision_zip import dominant_and_contextual
from tierexp.models.molmo.model_inputs import ModelInputs, shortened
from tierexp.models.molmo.vision_backbone import Encoded

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
    features = pad_sequence([of_image.tokens for of_image in kept], batch_first=True)
    sizes = None
    if any(of_image.sizes is not None for of_image in kept):
        of_images = [
            of_image.tokens.new_ones(len(of_image.places), dtype=torch.float32)
            if of_image.sizes is None
            else of_image.sizes
            for of_image in kept
        ]
        sizes = pad_sequence(of_images, batch_first=True, padding_value=1.0).unsqueeze(1)
    places = [orders[image][of_image.places] for image, of_image in enumerate(kept)]
    return Prompts(_shortened(inputs, places), features.unsqueeze(1), sizes)


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
        grids = partial(grids_of, places)
        return kept_of_tokens(reduction, tokens, grids, inputs.pixels[image], count)
    assert encoded.scores is not None
    scores = encoded.scores[image].flatten()[order]
    if reduction.method == "cls_attention":
        return chosen(tokens, highest(scores, count))
    assert encoded.keys is not None
    keys = encoded.keys[image].flatten(0, 1)[order]
    match reduction.method:
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
        inputs: Prompts with all image tokens.
        places: Places of every image, (n,) int64: which of its N · K tokens are kept, in the order
            of the sequence.
    """
    positions = inputs.image_input_idx.flatten(1)
    stays, kept = inputs.attention_mask.clone(), []
    for row, image in enumerate(inputs.image_index.tolist()):
        stays[row, positions[row][positions[row] >= 0]] = False
        kept.append(positions[row][places[image]])  # (n,)
        stays[row, kept[row]] = True
    prompts = shortened(inputs, stays)
    # A token stands as far from the end as there are that stay behind it.
    moved = stays.cumsum(dim=1) - 1 + (prompts.input_ids.shape[1] - stays.sum(dim=1))[:, None]
    longest = max(len(of_image) for of_image in places)
    idx = torch.full((len(positions), 1, longest), -100, device=positions.device)
    for row, at in enumerate(kept):
        idx[row, 0, : len(at)] = moved[row, at]
    return replace(prompts, image_input_idx=idx)
