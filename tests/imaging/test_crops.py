"""Crops, masks and token counts against slicing and counting pixel by pixel, and against what the
published preprocessor computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tierexp.imaging.crops import count_actual_tokens, cut_crops, patch_masks
from tierexp.imaging.preprocess import preprocess, stack_views
from tierexp.imaging.resize import Placement, Resize, place
from tierexp.models.molmo.mask_order import ordered_masks
from tierexp.tiers.geometry import CropGeometry, Tiling

GOLDEN = Path(__file__).parents[1] / "golden" / "preprocessing.npz"
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)

GEOMETRIES = (
    CropGeometry(crop_size=24, patch_size=3, overlap_margins=(2, 2)),
    CropGeometry(crop_size=20, patch_size=4, overlap_margins=(1, 2), pooling=(2, 3)),
    CropGeometry(crop_size=14, patch_size=2, overlap_margins=(0, 0), pooling=(1, 2)),
)
geometries = st.sampled_from(GEOMETRIES)
tilings = st.tuples(st.integers(1, 3), st.integers(1, 4))
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))
modes = st.sampled_from(["fill", "letterbox", "stretch"])


def sliced(canvas: NDArray, tiling: Tiling, geometry: CropGeometry) -> list[NDArray]:
    """The crops of a canvas, one slice at a time."""
    step, side = geometry.window_size, geometry.crop_size
    return [
        canvas[row * step : row * step + side, col * step : col * step + side]
        for row in range(tiling[0])
        for col in range(tiling[1])
    ]


def shown_pixels(placement: Placement) -> NDArray[np.bool_]:
    """Which pixels of the canvas show the image, one at a time."""
    height, width = placement.canvas_size
    y, x = np.arange(height) - placement.offset[0], np.arange(width) - placement.offset[1]
    inside_y = (y >= 0) & (y < placement.scaled_size[0])
    inside_x = (x >= 0) & (x < placement.scaled_size[1])
    return inside_y[:, None] & inside_x


def shares(crop: NDArray[np.bool_], geometry: CropGeometry) -> list[float]:
    """The mean of every patch of one crop's pixel mask."""
    size, starts = geometry.patch_size, range(0, geometry.crop_size, geometry.patch_size)
    return [crop[y : y + size, x : x + size].mean() for y in starts for x in starts]


def seeing_tokens(crop: NDArray[np.bool_], geometry: CropGeometry) -> int:
    """The pooling windows of one crop that hold a pixel of the image."""
    height, width = (pool * geometry.patch_size for pool in geometry.pooling)
    return sum(
        bool(crop[y : y + height, x : x + width].any())
        for y in range(0, geometry.crop_size, height)
        for x in range(0, geometry.crop_size, width)
    )


@settings(deadline=None)
@given(tilings, geometries, st.sampled_from([np.uint8, np.float32]))
def test_crops_are_slices_of_the_canvas_row_by_row(tiling, geometry, dtype):
    height, width = geometry.canvas_size(tiling)
    rng = np.random.default_rng(0)
    # A canvas may be part of a larger array.
    larger = rng.integers(1, 256, (height + 5, width + 6, 3)).astype(dtype)
    canvas = larger[3:-2, 5:-1]
    crops = cut_crops(canvas, tiling, geometry)
    np.testing.assert_array_equal(crops, sliced(canvas, tiling, geometry))


def test_crops_are_where_the_canvas_is():
    """Any copy of them would cost as much time as a small image's resampling."""
    geometry = CropGeometry()
    canvas = np.zeros((*geometry.canvas_size((2, 3)), 3), np.uint8)
    crops = cut_crops(canvas, (2, 3), geometry)
    canvas[230, 230] = 1, 2, 3  # 6 or 230 pixels into four of the crops
    for crop, y, x in ((0, 230, 230), (1, 230, 6), (3, 6, 230), (4, 6, 6)):
        assert crops[crop][y, x].tolist() == [1, 2, 3]
    assert np.sum(crops) == 4 * 6


@pytest.mark.parametrize("mode", ["fill", "letterbox", "stretch"])
@pytest.mark.parametrize("size", [(30, 40), (24, 40)])  # the second is the canvas's
def test_nothing_is_written_to_crops_and_images_stay_their_owners(mode, size):
    image = np.zeros((*size, 3), np.uint8)
    prepared = preprocess(image, (1, 2), Resize(mode), GEOMETRIES[0])
    for crop in prepared.views:
        assert not np.shares_memory(crop, image)
        with pytest.raises(ValueError, match="read-only"):
            crop[:] = 1
    image[:] = 1


def test_masks_are_nobody_elses():
    geometry = GEOMETRIES[0]
    on_canvas = place((30, 90), geometry.canvas_size((2, 2)), "letterbox")
    on_view = place((30, 90), (24, 24), "letterbox")
    masks = patch_masks(on_canvas, on_view, (2, 2), geometry)
    before = masks.copy()
    masks[:] = 5
    again = patch_masks(on_canvas, on_view, (2, 2), geometry)
    np.testing.assert_array_equal(again, before)


def test_what_does_not_fit_the_tiling_is_not_cut():
    geometry = CropGeometry()
    canvas = np.zeros((560, 784, 3), np.uint8)
    with pytest.raises(ValueError, match="3 x 2"):
        cut_crops(canvas, (3, 2), geometry)
    with pytest.raises(ValueError, match=r"\(560, 783\)"):
        cut_crops(canvas[:, 1:], (2, 3), geometry)


@settings(deadline=None)
@given(sizes, tilings, geometries, modes, modes)
def test_masks_and_token_counts_are_those_of_the_pixels(
    image_size, tiling, geometry, crops_mode, view_mode
):
    canvas = place(image_size, geometry.canvas_size(tiling), crops_mode)
    view = place(image_size, (geometry.crop_size, geometry.crop_size), view_mode)
    crops = sliced(shown_pixels(canvas), tiling, geometry)
    local = [shares(crop, geometry) for crop in crops]
    whole = shares(shown_pixels(view), geometry)

    aligned = patch_masks(canvas, view, tiling, geometry)
    assert aligned.dtype == np.float32
    np.testing.assert_allclose(aligned, [whole, *local], rtol=0, atol=1e-6)
    shifted = ordered_masks(aligned, "shifted")
    np.testing.assert_allclose(shifted, [*local, [-1] * len(whole)], rtol=0, atol=1e-6)
    last = patch_masks(canvas, view, tiling, replace(geometry, global_view="last"))
    np.testing.assert_allclose(last, [*local, whole], rtol=0, atol=1e-6)
    none = patch_masks(canvas, view, tiling, replace(geometry, global_view="none"))
    np.testing.assert_allclose(none, local, rtol=0, atol=1e-6)

    seen = sum(seeing_tokens(crop, geometry) for crop in crops)
    assert count_actual_tokens(canvas, tiling, geometry) == seen
    assert count_actual_tokens(view, (1, 1), geometry) == seeing_tokens(
        shown_pixels(view), geometry
    )


@pytest.mark.parametrize("global_view", ["first", "last", "none"])
def test_token_counts_go_by_whether_there_is_a_global_view(global_view):
    image = np.zeros((480, 640, 3), np.uint8)
    prepared = preprocess(image, (2, 3), Resize(), CropGeometry(global_view=global_view))
    assert prepared.actual_crop_tokens == 6 * 144
    # The global view is letterboxed to 252 x 336, 9 rows of 28 pixels after 42 of padding: they
    # reach into 10 rows of tokens.
    of_view = 0 if global_view == "none" else 10 * 12
    assert prepared.actual_vision_tokens == 6 * 144 + of_view
    assert len(prepared.views) == len(prepared.patch_mask) == (6 if global_view == "none" else 7)


def test_the_published_letterbox_wastes_what_fill_uses():
    image = np.zeros((300, 1000, 3), np.uint8)
    geometry = CropGeometry()
    boxed = preprocess(image, (2, 2), Resize("letterbox"), geometry)
    filled = preprocess(image, (2, 2), Resize("fill"), geometry)
    assert boxed.content_kept == 1
    assert boxed.padding_fraction == pytest.approx(1 - 168 / 560)
    assert filled.content_kept == pytest.approx(560 / 1867)
    assert filled.padding_fraction == 0
    assert boxed.actual_crop_tokens < filled.actual_crop_tokens == 4 * 144


@pytest.mark.parametrize(("exact", "dtype"), [(False, np.uint8), (True, np.float32)])
def test_a_batch_has_the_global_view_of_an_image_then_its_crops(exact, dtype):
    geometry, tilings = GEOMETRIES[0], [(2, 2), (1, 4)]
    rng = np.random.default_rng(0)
    pictures = [
        rng.integers(1, 256, (*geometry.canvas_size(tiling), 3), np.uint8) for tiling in tilings
    ]
    resize = Resize("fill", "letterbox", exact)
    prepared = [
        preprocess(picture, tiling, resize, geometry)
        for picture, tiling in zip(pictures, tilings, strict=True)
    ]
    batch = stack_views(prepared)
    assert batch.shape == (2, 5, 24, 24, 3)
    assert batch.dtype == dtype
    scale = 255 if exact else 1
    for picture, tiling, image, views in zip(pictures, tilings, prepared, batch, strict=True):
        expected = np.array(sliced(picture, tiling, geometry))
        np.testing.assert_allclose(views[1:] * scale, expected, rtol=0, atol=1e-4)
        top, left, bottom, right = image.view_placement.visible
        seen = views[0] * scale
        assert seen[top:bottom, left:right].mean() == pytest.approx(picture.mean(), abs=2)


def test_images_of_different_crop_counts_are_no_batch():
    image, geometry = np.zeros((30, 40, 3), np.uint8), GEOMETRIES[0]
    images = [preprocess(image, tiling, Resize(), geometry) for tiling in ((1, 2), (1, 3), (2, 1))]
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        stack_views(images)
    assert len(stack_views(images[::2])) == 2


def test_padding_is_black_and_the_image_is_not():
    geometry = GEOMETRIES[0]
    image = np.full((30, 90, 3), 200, np.uint8)
    prepared = preprocess(image, (2, 2), Resize("letterbox"), geometry)
    patches = stack_views([prepared]).reshape(5, 8, 3, 8, 3, 3).transpose(0, 1, 3, 2, 4, 5)
    bright = (patches == 200).reshape(5, 64, -1).mean(axis=2)
    np.testing.assert_allclose(bright, prepared.patch_mask, atol=1e-6)


def test_the_published_preprocessor_made_the_same_crops_and_masks():
    golden = np.load(GOLDEN)
    height, width = golden["image_hw"].tolist()
    y, x, c = np.ogrid[:height, :width, :3]
    image = ((7 * x + 13 * y + 50 * c + (x * y) // 97) % 256).astype(np.uint8)
    resize = Resize("letterbox", "letterbox", exact=True)
    prepared = preprocess(image, (1, 2), resize, CropGeometry())

    np.testing.assert_array_equal(
        ordered_masks(prepared.patch_mask, "shifted"), golden["image_masks"]
    )
    normalised = (stack_views([prepared])[0] - CLIP_MEAN) / CLIP_STD
    np.testing.assert_allclose(normalised.mean(axis=(1, 2, 3)), golden["crops_mean"], atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=(1, 2, 3)), golden["crops_std"], atol=1e-5)
    # The first 12 values (4 pixels) of the first 3 patches of every crop.
    corner = normalised[:, 0, : 3 * 14].reshape(3, 3, 14, 3)[:, :, :4].reshape(3, 3, 12)
    np.testing.assert_allclose(corner, golden["crops_corner"], rtol=0, atol=1e-5)
