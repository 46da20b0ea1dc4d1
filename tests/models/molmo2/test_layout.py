"""Crops, pooling and tokens of Molmo2 against `transformers`' own processor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from transformers import Molmo2Processor
from transformers.models.molmo2.image_processing_molmo2 import Molmo2ImageProcessor

from tests.support.molmo2_models import formula_image
from tierexp.errors import ConfigError
from tierexp.imaging.preprocess import PreprocessedImage, preprocess, stack_views
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.token_layout import DROPPED, TokenLayout, layout_tokens
from tierexp.models.molmo2.pooled_canvas import PooledCanvas
from tierexp.models.molmo2.pooling import pooled_patches
from tierexp.models.molmo2.prompt import Molmo2ImageTokens
from tierexp.models.patches import normalised_patches
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.native import select_tiling

GOLDEN = Path(__file__).parents[2] / "golden" / "molmo2-images.npz"
"""What transformers 5.24.0's image processor and torchvision 0.28.0 make of `formula_image` at the
sizes in the names of its arrays, up to 8 crops; of the pixels every 331st."""

MOLMO2 = PooledCanvas(crop_size=378)
SMALL = PooledCanvas(70, 14, (1, 1))
STRETCHED = Resize("stretch", "stretch", exact=False, antialias=False)
HALF = (0.5, 0.5, 0.5)
TOKENS = Molmo2ImageTokens(
    im_start=1, view_start=2, im_end=3, im_patch=4, im_col=5, view_col=None
)  # fmt: skip
sides = st.integers(1, 400)


def native(
    height: int, width: int, geometry: CropGeometry, max_crops: int
) -> tuple[PreprocessedImage, TokenLayout, ModelInputs]:
    """This project's preprocessing, told to do as Molmo2's."""
    tiling = select_tiling(height, width, max_crops, geometry)
    image = preprocess(formula_image(height, width), tiling, STRETCHED, geometry)
    layout = layout_tokens(tiling, geometry, TOKENS, [9], [7, 8])
    inputs = ModelInputs(
        input_ids=torch.from_numpy(layout.input_ids)[None],
        attention_mask=torch.ones(1, len(layout.input_ids), dtype=torch.bool),
        pixels=torch.from_numpy(stack_views([image])),
        patch_mask=torch.from_numpy(image.patch_mask)[None],
        image_input_idx=torch.from_numpy(layout.image_input_idx)[None],
        image_index=torch.zeros(1, dtype=torch.long),
    )
    return image, layout, inputs


def as_sets(pooling: NDArray[Any]) -> list[list[int]]:
    """A token's patches in no order: what is pooled has none."""
    return np.sort(pooling, axis=1).tolist()


@pytest.mark.parametrize(
    ("height", "width"), [(480, 640), (640, 480), (90, 600), (1000, 333), (378, 378)]
)
def test_the_published_processor_made_the_same_crops(height: int, width: int) -> None:
    golden = np.load(GOLDEN)
    name = f"{height}x{width}"
    image, _, inputs = native(height, width, MOLMO2, 8)
    assert inputs.pixels.shape[1] == golden[f"{name}_crops"][0]
    pixels = normalised_patches(inputs.pixels[0], 14, HALF, HALF).flatten()[::331]
    # Pixels are rounded to one of 256 levels, 2 / 255 apart here; where a sum ends between two,
    # its order, which the number of threads decides, tips it over.
    levels = np.abs(pixels.numpy() - golden[f"{name}_pixels"]) * 255 / 2
    assert levels.max() < 1.01
    assert (levels > 0.01).mean() < 0.002
    (pooling,) = pooled_patches(inputs, MOLMO2)
    assert as_sets(pooling.numpy()) == as_sets(golden[f"{name}_pooling"])
    view_rows, view_cols, rows, cols = golden[f"{name}_grid"][0]
    assert MOLMO2.token_grid == (view_rows, view_cols) == (14, 14)
    assert MOLMO2.llm_grid(image.tiling) == (rows, cols)


class Processor:
    """The library's image processor, torchvision's two functions in torch: it need not be there."""

    _build_overlapping_crops = Molmo2ImageProcessor._build_overlapping_crops

    def resize(self, image: torch.Tensor, size: Any, antialias: bool, **_: Any) -> torch.Tensor:
        assert not antialias
        return interpolate(image, (size.height, size.width), mode="bilinear", align_corners=False)

    def rescale_and_normalize(self, image: torch.Tensor, *how: Any) -> torch.Tensor:
        assert how == (True, 1 / 255, True, HALF, HALF)
        return (image / 255 - 0.5) / 0.5


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(1, 9), st.sampled_from([(1, 1), (2, 1), (0, 1), (0, 0)]))
def test_any_native_image_is_laid_out_as_the_library_does(
    height: int, width: int, max_crops: int, margins: tuple[int, int]
) -> None:
    geometry = PooledCanvas(70, 14, margins)
    picture = torch.from_numpy(formula_image(height, width)).permute(2, 0, 1)
    grids, pixels, pooling = Molmo2ImageProcessor._image_batch_to_patches_and_grids(
        Processor(),  # type: ignore[arg-type]
        picture[None], max_crops, list(margins), 70, 2, True, 1 / 255, True, HALF, HALF, 14, 2, 2,
    )  # fmt: skip
    image, _, inputs = native(height, width, geometry, max_crops)
    ours = normalised_patches(inputs.pixels[0], 14, HALF, HALF)
    torch.testing.assert_close(ours, pixels[0], rtol=0, atol=1e-5)
    (patches,) = pooled_patches(inputs, geometry)
    assert as_sets(patches.numpy()) == as_sets(pooling[0].numpy())
    assert [*geometry.token_grid, *geometry.llm_grid(image.tiling)] == grids[0].tolist()
    assert geometry.llm_vision_tokens(image.tiling) == len(patches)


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.booleans(), st.booleans(), st.sampled_from([None, True, False]),
)  # fmt: skip
def test_the_sequence_is_the_librarys(
    tiling: tuple[int, int], own_start: bool, cols: bool, view_cols: bool | None
) -> None:
    library = SimpleNamespace(
        image_use_col_tokens=cols,
        use_single_crop_col_tokens=view_cols,
        use_single_crop_start_token=own_start,
    )
    grids = {"image_grids": [[*SMALL.token_grid, *SMALL.llm_grid(tiling)]]}
    text = Molmo2Processor.replace_image_token(library, grids, image_idx=0)
    names = {"<im_start>": 1, "<low_res_im_start>": 2, "<im_end>": 3, "<im_patch>": 4}
    expected = [(names | {"<im_col>": 5})[f"<{word}"] for word in text.removeprefix("<").split("<")]
    tokens = Molmo2ImageTokens(
        im_start=1,
        view_start=2 if own_start else 1,
        im_end=3,
        im_patch=4,
        im_col=5 if cols else None,
        view_col=5 if (cols if view_cols is None else view_cols) else None,
    )
    layout = layout_tokens(tiling, SMALL, tokens, [9, 9], [7, 8])
    assert layout.input_ids.tolist() == [9, 9, *expected, 7, 8]
    placed = np.unique(layout.image_input_idx[layout.image_input_idx != DROPPED])
    assert placed.tolist() == np.flatnonzero(layout.input_ids == 4).tolist()


def test_a_window_may_reach_over_two_crops() -> None:
    """Crops of 5 patches that step by 3: of the canvas's 8 columns the crops keep 4 and 4, and
    windows of 3 columns would be cut by the seam."""
    geometry = PooledCanvas(70, 14, (1, 1), pooling=(1, 3))
    assert geometry.llm_grid((1, 2)) == (5, 3)  # (3, 3, 2) columns
    row = layout_tokens((1, 2), geometry, TOKENS, [], []).image_input_idx[1:, :5]
    first, last = row[0, 0], row[1, 4]
    assert row.tolist() == [
        [first, first, first, first + 1, DROPPED],
        [DROPPED, first + 1, first + 1, last, last],
    ]
    assert last == first + 2


def test_counts_of_the_released_geometry() -> None:
    assert MOLMO2.tokens_per_crop == 196
    assert MOLMO2.window_size == 266
    assert MOLMO2.selected_vision_tokens(6) == 7 * 196
    # (19 r + 8) patches, halved and rounded up: 46 and 65 for 2 x 3 crops.
    assert MOLMO2.llm_vision_tokens((2, 3)) == 196 + 23 * 33


def test_only_stretched_images_do_without_antialiasing() -> None:
    with pytest.raises(ConfigError, match=r"resize\.antialias=False is not possible: true, unless"):
        Resize("fill", "stretch", antialias=False)
    with pytest.raises(ConfigError, match=r"resize\.antialias='no'"):
        Resize("stretch", "stretch", antialias="no")  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(sides, sides)
def test_exact_is_within_half_a_step_of_the_rounded_pixels(height: int, width: int) -> None:
    picture = formula_image(height, width)
    exact = preprocess(picture, (1, 2), Resize("stretch", "stretch", True, False), SMALL)
    rounded = preprocess(picture, (1, 2), STRETCHED, SMALL)
    assert {crop.dtype for crop in exact.views} == {np.dtype(np.float32)}
    error = stack_views([exact]) * 255 - stack_views([rounded])
    assert np.abs(error).max() <= 0.5 + 1e-4
