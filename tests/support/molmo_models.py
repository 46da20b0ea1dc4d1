"""Molmo models of a few thousand weights, and inputs for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig, VisionConfig

VISION = VisionConfig(
    crop_size=56,
    patch_size=14,
    width=16,
    num_layers=3,
    num_heads=2,
    mlp_width=24,
    feature_layers=(-1, -2),
)
DENSE: dict[str, Any] = {
    "vocab_size": 40,
    "extra_vocab_size": 8,
    "width": 32,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "mlp_width": 24,
    "num_experts": None,
    "top_k": None,
    "rope_theta": 10000.0,
    "norm_eps": 1e-5,
    "qkv_bias": True,
    "qk_norm": False,
    "norm_after": False,
}
MIXTURE = DENSE | {
    "num_kv_heads": 4,
    "num_experts": 6,
    "top_k": 2,
    "qkv_bias": False,
    "qk_norm": True,
}
OLMO = DENSE | {"num_kv_heads": 4, "qkv_bias": False, "qk_norm": True, "norm_after": True}
"""Like Molmo-7B-O: dense, queries and keys normalised, norms after the sublayers."""

KINDS = {"dense": DENSE, "mixture": MIXTURE, "olmo": OLMO}


def small_config(kind: str, **changes: Any) -> MolmoConfig:
    return MolmoConfig(
        vision=VISION,
        connector=ConnectorConfig(pooling=(2, 2), hidden_width=20),
        decoder=DecoderConfig(**KINDS[kind] | changes),
        overlap_margins=(1, 1),
        mask_order="aligned",
    )


def small_model(kind: str, seed: int = 0) -> Molmo:
    torch.manual_seed(seed)
    model = Molmo(small_config(kind))
    for parameter in model.parameters():
        # Norms and biases too: a model in which they are one and zero hides mistakes.
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    return model.eval()


def small_engine(kind: str, seed: int = 0, end_of_text_id: int | None = None) -> MolmoEngine:
    return MolmoEngine(small_model(kind, seed), end_of_text_id)


def prompt(lengths: list[int], seed: int = 0) -> ModelInputs:
    """Left-padded random prompts, each with a global view and a crop of four tokens."""
    generator = torch.Generator().manual_seed(seed)

    def ids(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    batch, longest = len(lengths), max(lengths)
    padding = torch.tensor([longest - length for length in lengths])
    positions = torch.arange(1, 9).view(1, 2, 4) + padding.view(-1, 1, 1)
    positions[:, 1, 2] = -100
    return ModelInputs(
        input_ids=ids(48, batch, longest),
        attention_mask=torch.arange(longest) >= padding[:, None],
        pixels=ids(256, batch, 2, 56, 56, 3).to(torch.uint8),
        patch_mask=ids(3, batch, 2, 16) / 2,
        image_input_idx=positions,
        image_index=torch.arange(batch),
    )


def row_of(inputs: ModelInputs, row: int) -> ModelInputs:
    """One sample alone, its padding removed."""
    real = inputs.attention_mask[row]
    padding = int((~real).sum())
    positions = inputs.image_input_idx[row]
    return ModelInputs(
        input_ids=inputs.input_ids[row][real][None],
        attention_mask=torch.ones(1, int(real.sum()), dtype=torch.bool),
        pixels=inputs.pixels[inputs.image_index[row]][None],
        patch_mask=inputs.patch_mask[inputs.image_index[row]][None],
        image_input_idx=torch.where(positions < 0, positions, positions - padding)[None],
        image_index=torch.zeros(1, dtype=torch.long),
    )


IMAGE_END = 9
"""Of `prompt`: one token and the image's eight."""


def sharing(lengths: list[int], image_index: list[int], before: list[int]) -> ModelInputs:
    """Prompts of which those about one image begin alike, with `before[i]` more tokens in front of
    image i.
    """
    index = torch.tensor(image_index)
    extra = torch.tensor(before)[index]
    lengths = [length + int(more) for length, more in zip(lengths, extra, strict=True)]
    inputs = prompt(lengths)
    images = int(index.max()) + 1
    ids, longest = inputs.input_ids, max(lengths)
    places = torch.where(
        inputs.image_input_idx < 0, -100, inputs.image_input_idx + extra[:, None, None]
    )
    for row, image in enumerate(image_index):
        first = image_index.index(image)
        length, start = IMAGE_END + before[image], longest - lengths[row]
        of_first = longest - lengths[first]
        ids[row, start : start + length] = ids[first, of_first : of_first + length]
    return replace(
        inputs,
        pixels=inputs.pixels[:images],
        patch_mask=inputs.patch_mask[:images],
        image_input_idx=places,
        image_index=index,
    )
