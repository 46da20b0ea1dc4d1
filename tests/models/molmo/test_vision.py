"""From pixels to vision tokens, against loops over patches and windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.molmo_models import VISION, prompt, small_config, small_model
from tierexp.models.molmo.connector import (
    MeanQueryPooling,
    add_padding_embeddings,
    pooling_windows,
)
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.vision import VisionMLP
from tierexp.models.molmo.vision_backbone import CLIP_MEAN, CLIP_STD
from tierexp.models.patches import normalised_patches


def test_patches_are_normalised_row_by_row() -> None:
    crops = torch.randint(256, (2, 6, 9, 3), dtype=torch.uint8)
    patches = normalised_patches(crops, 3, CLIP_MEAN, CLIP_STD)
    assert patches.shape == (2, 6, 27)
    for row in range(2):
        for col in range(3):
            block = crops[1, 3 * row : 3 * row + 3, 3 * col : 3 * col + 3].double() / 255
            expected = (block - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
            actual = patches[1, 3 * row + col].double()
            torch.testing.assert_close(actual, expected.flatten(), rtol=0, atol=1e-5)


def test_pixels_in_uint8_and_in_floating_point_are_the_same() -> None:
    model, inputs = small_model("dense"), prompt([12])
    exact = inputs.pixels.float() / 255
    torch.testing.assert_close(
        model.vision_features(exact, inputs.patch_mask),
        model.vision_features(inputs.pixels, inputs.patch_mask),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_crop_that_fills_up_a_batch_has_no_features_of_its_own() -> None:
    model, inputs = small_model("dense"), prompt([12])
    crops = inputs.pixels.float() / 255
    crops[:, 1] = -1
    unmasked = torch.ones_like(inputs.patch_mask)
    blank = model.vision_features(crops, unmasked)[0, 1]
    # Zero features are the same in every window, so every token of the crop is the same.
    torch.testing.assert_close(blank, blank[:1].expand_as(blank))
    # A single -1 inside a crop blanks nothing.
    crops[:, 1] = 0.5
    crops[:, 1, 0, 0, 0] = -1
    tokens = model.vision_features(crops, unmasked)[0, 1]
    assert not torch.allclose(tokens[0], tokens[1], atol=1e-3)


def test_a_crop_does_not_depend_on_the_others() -> None:
    model, inputs = small_model("dense"), prompt([12, 12])
    together = model.vision_features(inputs.pixels, inputs.patch_mask)
    alone = model.vision_features(inputs.pixels[1:, 1:], inputs.patch_mask[1:, 1:])
    torch.testing.assert_close(together[1, 1], alone[0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("graded", [True, False])
def test_quick_gelu_stands_between_the_layers(graded: bool) -> None:
    mlp, x = VisionMLP(5, 7).double(), torch.randn(2, 3, 5, dtype=torch.float64)
    hidden = mlp.w1(x)
    expected = mlp.w2(hidden / (1 + (-1.702 * hidden).exp()))
    with torch.set_grad_enabled(graded):
        torch.testing.assert_close(mlp(x), expected)


@pytest.mark.parametrize("layers", [(-1, -2), (-2, -1), (0, 2), (-2, -3), (-1,), (1,)])
def test_tokens_that_nobody_reads_are_left_out_and_the_others_stay(
    layers: tuple[int, ...],
) -> None:
    """Whichever blocks the features come from; all, some and none of a view's tokens read."""
    torch.manual_seed(len(layers))
    vision = replace(VISION, feature_layers=layers, crop_size=56 * 2)
    model = Molmo(replace(small_config("dense"), vision=vision)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    pixels = torch.randint(256, (2, 4, 112, 112, 3), dtype=torch.uint8)
    patch_mask = torch.randint(3, (2, 4, 64)) / 2
    received = torch.rand(2, 4, 16) < 0.6
    received[0, 0], received[1, 2], received[1, 3] = True, False, received[0, 1]
    with torch.inference_mode():
        whole = model.vision_features(pixels, patch_mask)
        some = model.vision_features(pixels, patch_mask, received)
    assert (some - whole)[received].abs().max() < 1e-5 * whole.abs().max()
    assert not some[~received].any()


def test_windows_over_the_edge_are_encoded_whole() -> None:
    config = small_config("dense")
    pooling = replace(config.connector, pooling=(3, 3))
    model, inputs = Molmo(replace(config, connector=pooling)).eval(), prompt([12])
    features = model.vision_features(inputs.pixels, inputs.patch_mask)
    received = torch.zeros(features.shape[:3], dtype=torch.bool)
    assert torch.equal(model.vision_features(inputs.pixels, inputs.patch_mask, received), features)


def test_padding_embeddings_by_share() -> None:
    pad_embed = torch.tensor([[10.0], [100.0]])
    shares = torch.tensor([0.0, 0.3, 0.999, 1.0, -1.0])
    added = add_padding_embeddings(torch.zeros(5, 1), pad_embed, shares)
    assert added.flatten().tolist() == [10, 100, 100, 0, 100]


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (5, 7)])
def test_pooling_windows(size: tuple[int, int]) -> None:
    height, width = size
    features = torch.randn(2, height, width, 3)
    windows = pooling_windows(features, (2, 2))
    expected = []
    for b in range(2):
        for top in range(0, height, 2):
            for left in range(0, width, 2):
                inside = [
                    features[b, y, x] if y < height and x < width else torch.zeros(3)
                    for y in (top, top + 1)
                    for x in (left, left + 1)
                ]
                expected.append(torch.stack(inside))
    assert torch.equal(windows, torch.stack(expected))


def test_a_window_is_pooled_with_its_mean_as_query() -> None:
    pooling = small_model("dense").vision_backbone.image_pooling_2d
    window = torch.randn(4, 32)
    query = pooling.wq(window.mean(0)).view(2, 8)
    keys, values = pooling.wk(window).view(4, 2, 8), pooling.wv(window).view(4, 2, 8)
    weights = (torch.einsum("hd,khd->hk", query, keys) / 8**0.5).softmax(-1)
    expected = pooling.wo(torch.einsum("hk,khd->hd", weights, values).flatten())
    torch.testing.assert_close(pooling.pool(window[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_windows_are_pooled_alike_without_keys_and_values() -> None:
    torch.manual_seed(0)
    pooling = MeanQueryPooling(24, 16, 4)
    windows = torch.randn(50, 6, 24)
    pooled = pooling.pool(windows)
    assert (pooling.pool_unprojected(windows) - pooled).abs().max() < 1e-6
    assert pooled.std() > 0.1
