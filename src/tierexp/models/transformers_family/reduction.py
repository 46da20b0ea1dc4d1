"""Fewer vision tokens in the prompts of models of `transformers`, before the decoder reads them.

In: rows that were processed together, and what the encoder says of their images. Out: what
`generate` is told instead: shorter rows, and the encoder's output with the tokens that go into
them. Vision tokens are found by their id, and every other token stays, those that name or end an
image and its rows too. Positions are counted anew, as if the tokens had never been; in a decoder
whose positions have three dimensions (Qwen) a token keeps the row and column that it was seen at,
and the text behind the image stands where it stood. Gemma 3's image tokens see each other both
ways; those that are kept still do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import Kept, chosen, highest
from tierexp.models.knobs.reduction.of_tokens import OF_TOKENS_ALONE, kept_of_tokens
from tierexp.models.knobs.reduction.pool import pooled
from tierexp.models.knobs.reduction.settings import Reduction, VisionZip
from tierexp.models.knobs.reduction.staying import Staying, staying
from tierexp.models.knobs.reduction.vision_zip import dominant_and_contextual
from tierexp.models.plans.family import LibraryClasses
from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoded import EncodedRows, token_grids


def reduced(
    network: Any,
    tensors: Mapping[str, Tensor],
    encoded: EncodedRows,
    reduction: Reduction,
    image_token: int,
    pixels: Sequence[Tensor],
    library: LibraryClasses,
) -> dict[str, Any]:
    """What `generate` is told of rows.

    Args:
        network: The library's.
        tensors: Tensors of the whole rows, as the processor names them.
        encoded: Their images.
        reduction: One that the family serves.
        image_token: Id of a vision token.
        pixels: Pixels of every row's image; they decide what is drawn at random.
        library: The family's.

    Raises:
        ConfigError: More tokens are asked for than an image has.
    """
    ids, mask = tensors["input_ids"], tensors["attention_mask"].bool()
    vision = (ids == image_token) & mask
    stays, kept, deeper = mask & ~vision, [], []
    for row, features in enumerate(encoded.features):
        count = reduction.count(len(features))
        grids = partial(token_grids, network, tensors, row, features, library)
        found, below = _keep(grids, encoded, row, reduction, count, pixels[row])
        stays[row, vision[row].nonzero().squeeze(1)[found.places]] = True
        kept.append(found.tokens)
        deeper.append(below)
    left = staying(stays)
    told = {
        "input_ids": left.of(ids, ids[0, 0]),
        "attention_mask": left.real.long(),
        "mm_encoder_outputs": {"image": _with_kept(encoded.output, kept, deeper)},
    }
    if "token_type_ids" in tensors:
        told["token_type_ids"] = left.of(tensors["token_type_ids"], 0)
    if hasattr(network.model, "get_rope_index"):
        told["position_ids"] = _own_positions(network, tensors, left)
    return told


def _keep(
    grids: Callable[[], list[Grid]],
    encoded: EncodedRows,
    row: int,
    reduction: Reduction,
    count: int,
    pixels: Tensor,
) -> tuple[Kept, list[Tensor]]:
    """One row's tokens, and what of its deeper features goes with them."""
    features = encoded.features[row]
    layers = [layer[row] for layer in getattr(encoded.output, "deepstack_features", None) or ()]
    if count == len(features):
        return chosen(features, torch.arange(count, device=features.device)), layers
    if reduction.method in OF_TOKENS_ALONE:
        found = kept_of_tokens(reduction, features, grids, pixels, count)
    elif isinstance(reduction, VisionZip):
        found = dominant_and_contextual(
            features, encoded.scores[row], encoded.keys[row], count, reduction.contextual
        )
    else:
        found = chosen(features, highest(encoded.scores[row], count))
    if reduction.method == "pool":
        return found, [pooled(layer, grids(), count).tokens for layer in layers]
    return found, [layer[found.places] for layer in layers]


def _with_kept(output: Any, kept: Sequence[Tensor], deeper: Sequence[Sequence[Tensor]]) -> Any:
    """The encoder's output with the tokens that are kept of every row."""
    made = copy.copy(output)
    made.pooler_output = torch.cat(list(kept)) if isinstance(output.pooler_output, Tensor) else kept
    if any(deeper):
        made.deepstack_features = [tuple(of_layer) for of_layer in zip(*deeper, strict=True)]
    return made


def _own_positions(network: Any, tensors: Mapping[str, Tensor], left: Staying) -> Tensor:
    """(4, R, L) int64: places among those that are left, which masks go by, and time, row and
    column as in the whole prompt.
    """
    of_axes, _ = network.model.get_rope_index(**tensors)
    anew = (left.real.long().cumsum(dim=1) - 1).clamp(min=0)
    return torch.stack([anew, *(left.of(axis, 0) for axis in of_axes)])
