"""What the published code computes from two tiny checkpoints in the released layout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tierexp.imaging.preprocess import PreprocessedImage, preprocess, stack_views
from tierexp.imaging.resize import Resize
from tierexp.models.checkpoint_files import weight_files
from tierexp.models.molmo.config import read_config
from tierexp.models.molmo.mask_order import with_ordered_masks
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.token_layout import TokenLayout, layout_tokens
from tierexp.models.molmo.tokenizer import ImageTokenIds
from tierexp.models.molmo.weights import load_model
from tierexp.tiers.native import select_tiling

FOLDER = Path(__file__).parents[2] / "golden"
MODELS = ("molmoe-tiny", "molmo-dense-tiny")
TOLERANCE = 1e-4


class Golden(NamedTuple):
    model: Molmo
    expected: dict[str, NDArray[np.generic]]
    image: PreprocessedImage
    layout: TokenLayout
    features: Tensor


def formula_image(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    channels = [(7 * x + 13 * y + 50 * c + (x * y) // 97) % 256 for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


@cache
def golden(name: str) -> Golden:
    folder = FOLDER / name
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    config = read_config(folder)
    model = load_model(weight_files(folder), config, [torch.device("cpu")], torch.float32)
    height, width = (int(side) for side in expected["image_hw"])
    tiling = select_tiling(height, width, int(expected["max_crops"]), config.geometry)
    resize = Resize(crops="letterbox", global_view="letterbox", exact=True)
    cut = preprocess(formula_image(height, width), tiling, resize, config.geometry)
    image = with_ordered_masks(cut, config.mask_order)
    first = config.decoder.vocab_size
    layout = layout_tokens(
        tiling,
        config.geometry,
        ImageTokenIds(first, first + 1, first + 2, first + 3),
        before_image=[int(expected["input_ids"][0])],
        prompt_ids=[10 + ord(letter) % 200 for letter in " What is it?"],
    )
    with torch.inference_mode():
        features = model.vision_features(
            torch.from_numpy(stack_views([image])), torch.from_numpy(image.patch_mask)[None]
        )
    return Golden(model, expected, image, layout, features)


@pytest.mark.parametrize("name", MODELS)
def test_inputs(name: str) -> None:
    g = golden(name)
    np.testing.assert_array_equal(g.layout.input_ids, g.expected["input_ids"])
    np.testing.assert_array_equal(g.layout.image_input_idx, g.expected["image_input_idx"])
    np.testing.assert_allclose(g.image.patch_mask, g.expected["image_masks"], atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_vision_tokens(name: str) -> None:
    g = golden(name)
    expected = g.expected["image_features"]
    # The dense file keeps the global view and every 13th channel, the other every 13th token.
    actual = g.features[0, :, ::13] if expected.ndim == 3 else g.features[0, 0, :, ::13]
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "top_k", "key"),
    [
        ("molmoe-tiny", None, "logits"),
        ("molmoe-tiny", 1, "logits_top_k_1"),
        ("molmoe-tiny", 2, "logits_top_k_2"),
        ("molmo-dense-tiny", None, "logits"),
    ],
)
def test_logits(name: str, top_k: int | None, key: str) -> None:
    g = golden(name)
    expected = g.expected[key]
    with torch.inference_mode():
        logits = g.model.decode(
            torch.from_numpy(g.layout.input_ids)[None],
            g.features,
            torch.tensor(g.layout.image_input_idx)[None],
            top_k=top_k,
        )
    actual = logits[0, -len(expected) :].numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_stays_close(name: str) -> None:
    g = golden(name)
    config = g.model.config
    model = load_model(weight_files(FOLDER / name), config, [torch.device("cpu")], torch.bfloat16)
    with torch.inference_mode():
        features = model.vision_features(
            torch.from_numpy(stack_views([g.image])), torch.from_numpy(g.image.patch_mask)[None]
        )
    assert features.dtype == torch.bfloat16
    scale = g.features.abs().max()
    assert (features.float() - g.features).abs().max() < 0.06 * scale
