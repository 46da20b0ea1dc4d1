"""Every derived number of the crop geometry against the published table."""

from __future__ import annotations

import pytest

from tierexp import CropGeometry
from tierexp.errors import ConfigError


def test_molmo_numbers() -> None:
    geometry = CropGeometry()
    assert geometry.patches_per_side == 24
    assert geometry.patches_per_crop == 576
    assert geometry.window_size == 224
    assert geometry.margin_size == 112
    assert geometry.tokens_per_crop == 144
    assert geometry.canvas_size((2, 3)) == (560, 784)
    assert geometry.window_resolution((2, 3)) == (448, 672)


@pytest.mark.parametrize(("crops", "tokens"), [(2, 432), (4, 720), (6, 1008), (9, 1440)])
def test_selected_tokens_count_the_global_view(crops: int, tokens: int) -> None:
    assert CropGeometry().selected_vision_tokens(crops) == tokens
    assert CropGeometry().crops_for_tokens(tokens) == crops
    assert CropGeometry().crops_for_tokens(tokens + 143) == crops


def test_a_target_below_two_crops_still_gives_one() -> None:
    assert CropGeometry().crops_for_tokens(1) == 1


def test_worked_example_of_llm_tokens() -> None:
    assert CropGeometry().llm_vision_tokens((2, 3)) == 704


@pytest.mark.parametrize("count", range(1, 16))
def test_llm_grid_is_12_then_8k_plus_4(count: int) -> None:
    expected = 12 if count == 1 else 8 * count + 4
    assert CropGeometry().llm_grid((count, 1)) == (expected, 12)
    assert CropGeometry().llm_grid((1, count)) == (12, expected)


@pytest.mark.parametrize("count", range(1, 8))
def test_kept_patches_cover_the_canvas_once(count: int) -> None:
    geometry = CropGeometry(overlap_margins=(3, 5))
    covered = [
        index * geometry.window_patches + patch
        for index in range(count)
        for patch in range(*geometry.kept_patches(index, count))
    ]
    assert covered == list(range(geometry.canvas_size((count, 1))[0] // geometry.patch_size))


def test_molmo2_crops_have_196_tokens() -> None:
    assert CropGeometry(crop_size=378).tokens_per_crop == 196


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"crop_size": 340}, "geometry.crop_size"),
        ({"patch_size": 0}, "geometry.patch_size"),
        ({"overlap_margins": (12, 12)}, "geometry.overlap_margins"),
        ({"pooling": (0, 2)}, "geometry.pooling"),
    ],
)
def test_impossible_geometry_is_refused(fields: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        CropGeometry(**fields)  # type: ignore[arg-type]
