"""Fewer vision tokens in Molmo2's prompts, decided before the language model reads them.

In: a batch of prompts and the encoded tokens of their images. Out: shorter prompts, and the tokens
that go into them. Vision tokens are found by their id; every other token stays, those that start
and end an image and its rows too. Positions are counted anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from tierexp.models.knobs.reduction.of_tokens import grids_of, kept_of_tokens
from tierexp.models.knobs.reduction.settings import Reduction
from tierexp.models.molmo.model_inputs import ModelInputs, shortened


def reduced(
    inputs: ModelInputs, features: Sequence[Tensor], reduction: Reduction, image_token: int
) -> tuple[ModelInputs, list[Tensor]]:
    """Prompts with as many vision tokens of every image as a method keeps.

    Args:
        inputs: The prompts.
        features: Features of every image (N, C), in the order of the prompt.
        reduction: One that looks at them alone, or none.
        image_token: Id of a vision token.

    Returns:
        Prompts, padded on the left, whose positions of patches are those of the whole prompt; and
        of every image (n, C).

    Raises:
        ConfigError: More tokens are asked for than an image has.
    """
    counts = [reduction.count(len(tokens)) for tokens in features]
    if all(count == len(tokens) for count, tokens in zip(counts, features, strict=True)):
        return inputs, list(features)
    vision = (inputs.input_ids == image_token) & inputs.attention_mask
    prompts = inputs.image_index.tolist()
    kept = []
    for image, (tokens, count) in enumerate(zip(features, counts, strict=True)):
        positions = vision[prompts.index(image)].nonzero().squeeze(1)
        grids = partial(grids_of, positions)
        kept.append(kept_of_tokens(reduction, tokens, grids, inputs.pixels[image], count))
    stays = inputs.attention_mask & ~vision
    for row, image in enumerate(prompts):
        stays[row, vision[row].nonzero().squeeze(1)[kept[image].places]] = True
    return shortened(inputs, stays), [of_image.tokens for of_image in kept]
