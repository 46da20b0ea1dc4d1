"""Resampling against a triangle filter in plain NumPy, and against torch's of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tierexp.imaging.resample import resample
from tierexp.imaging.resize import Placement, place

MODES = ("fill", "letterbox", "stretch")
SINGLE = 1e-4  # what torch's filter weights, computed in single precision, are off by at most
sides = st.integers(1, 200)
sizes = st.tuples(sides, sides)


def triangle_weights(length: int, scaled: int, start: int, stop: int) -> NDArray[np.float64]:
    """(stop - start, length): what an antialiased bilinear filter that makes `scaled` pixels of
    `length` gives each source pixel, for the scaled pixels from `start` to `stop`."""
    step = length / scaled
    reach = max(step, 1.0)
    centres = (np.arange(start, stop)[:, None] + 0.5) * step
    weights = np.maximum(1 - np.abs(np.arange(length) + 0.5 - centres) / reach, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def reference_canvas(image: NDArray[np.uint8], placement: Placement) -> NDArray[np.float64]:
    """The canvas in float64, pixel by pixel of the scaled image."""
    weights, shown = [], []
    for length, scaled, offset, side in zip(
        image.shape, placement.scaled_size, placement.offset, placement.canvas_size, strict=False
    ):
        start, stop = max(-offset, 0), min(scaled, side - offset)
        weights.append(triangle_weights(length, scaled, start, stop))
        shown.append(slice(start + offset, stop + offset))
    canvas = np.zeros((*placement.canvas_size, 3))
    canvas[shown[0], shown[1]] = np.einsum(
        "yh,hwc,xw->yxc", weights[0], image / 255, weights[1], optimize=True
    )
    return canvas


def pictures(height: int, width: int) -> dict[str, NDArray[np.uint8]]:
    """Easy ones and the hardest for rounding: full contrast from pixel to pixel."""
    rng = np.random.default_rng(height * 1000 + width)
    y, x, c = np.ogrid[:height, :width, :3]
    return {
        "smooth": ((np.sin(y / 9 + c) + np.cos(x / 7)) * 60 + 127).astype(np.uint8),
        "checkerboard": ((y + x + c) % 2 * 255).astype(np.uint8),
        "stripes": ((x // 2 + 0 * y + 0 * c) % 2 * 255).astype(np.uint8),
        "noise": rng.integers(0, 256, (height, width, 3), np.uint8),
        "black or white": rng.integers(0, 2, (height, width, 3), np.uint8) * np.uint8(255),
    }


def test_a_mark_is_found_where_the_placement_says():
    image = np.zeros((480, 640, 3), np.uint8)
    image[300:340, 500:540] = 255
    for mode in MODES:
        placement = place((480, 640), (560, 784), mode)
        bright = np.argwhere(resample(image, placement)[..., 0] > 127)
        np.testing.assert_allclose(bright.min(axis=0), placement.to_canvas(300, 500), atol=1)
        np.testing.assert_allclose(bright.max(axis=0) + 1, placement.to_canvas(340, 540), atol=1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("image_size", "canvas_size"),
    [
        ((48, 64), (56, 78)),
        ((64, 48), (33, 34)),
        ((200, 75), (145, 54)),
        ((30, 200), (33, 78)),
        ((7, 5), (50, 50)),
        # Where the scale is a simple fraction, less than the whole image is resampled.
        ((160, 120), (64, 90)),
        ((96, 144), (80, 60)),
        ((60, 200), (120, 130)),
    ],
)
def test_exact_and_fast_pixels_against_the_reference(mode, image_size, canvas_size):
    placement = place(image_size, canvas_size, mode)
    for name, image in pictures(*image_size).items():
        reference = reference_canvas(image, placement)
        exact = resample(image, placement, exact=True)
        assert exact.dtype == np.float32
        np.testing.assert_allclose(exact, reference, rtol=0, atol=SINGLE, err_msg=name)
        fast = resample(image, placement)
        assert fast.dtype == np.uint8
        error = np.abs(fast / 255 - exact)
        assert error.max() <= 2 / 255, name
        assert error.mean() <= 1 / 255, name


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, st.sampled_from(MODES), st.sampled_from(["checkerboard", "black or white"]))
def test_fast_pixels_stay_within_their_bounds_of_exact_ones(image_size, canvas_size, mode, name):
    image = pictures(*image_size)[name]
    placement = place(image_size, canvas_size, mode)
    error = np.abs(resample(image, placement) / 255 - resample(image, placement, exact=True))
    assert error.max() <= 2 / 255
    assert error.mean() <= 1 / 255


@pytest.mark.parametrize("image_size", [(480, 640), (1001, 463)])
@pytest.mark.parametrize("canvas_size", [(560, 784), (336, 336)])
def test_exact_letterbox_is_the_published_computation(image_size, canvas_size):
    image = pictures(*image_size)["noise"]
    height, width = (np.array(side, np.float32) for side in image_size)
    scale = min(np.float32(canvas_size[0]) / height, np.float32(canvas_size[1]) / width)
    scaled = int(height * scale), int(width * scale)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    resized = torch.nn.functional.interpolate(
        pixels, scaled, mode="bilinear", antialias=True, align_corners=False
    )
    resized = resized.clip(0, 1)[0].permute(1, 2, 0).numpy()
    top, left = (canvas_size[0] - scaled[0]) // 2, (canvas_size[1] - scaled[1]) // 2
    padding = (
        (top, canvas_size[0] - scaled[0] - top),
        (left, canvas_size[1] - scaled[1] - left),
        (0, 0),
    )
    canvas = resample(image, place(image_size, canvas_size, "letterbox"), exact=True)
    np.testing.assert_allclose(canvas, np.pad(resized, padding), rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("image_size", [(1, 1), (1, 2000), (2000, 1), (11, 3000)])
def test_extreme_images_fill_no_memory_and_match_the_reference(mode, image_size):
    canvas_size = (33, 78)
    image = pictures(*image_size)["noise"]
    placement = place(image_size, canvas_size, mode)
    reference = reference_canvas(image, placement)
    exact = resample(image, placement, exact=True)
    np.testing.assert_allclose(exact, reference, rtol=0, atol=SINGLE)
    fast = resample(image, placement)
    assert fast.shape == (*canvas_size, 3)
    assert np.abs(fast / 255 - exact).max() <= 2 / 255


@settings(max_examples=60, deadline=None)
@given(
    # Of the sizes of photographs, whose scales are simple fractions, and of any others.
    st.sampled_from([(48, 64), (64, 48), (90, 160), (96, 144)]) | sizes,
    sizes,
    st.sampled_from(["noise", "black or white"]),
)
# As many rows, or columns, stay as the image has.
@example((96, 144), (44, 156), "noise")
@example((48, 64), (61, 47), "noise")
def test_what_is_cropped_away_changes_no_pixel_that_stays(image_size, canvas_size, name):
    image = pictures(*image_size)[name]
    placement = place(image_size, canvas_size, "fill")
    height, width = placement.scaled_size
    assume(height * width <= 8 * canvas_size[0] * canvas_size[1])  # extreme ones: see above
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None],
        placement.scaled_size,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    y, x = (-offset for offset in placement.offset)
    expected = whole[0].permute(1, 2, 0)[y : y + canvas_size[0], x : x + canvas_size[1]]
    np.testing.assert_array_equal(resample(image, placement), expected)


def test_read_only_and_strided_images_are_taken():
    image = pictures(40, 60)["noise"]
    placement = place((40, 30), (64, 64), "fill")
    half = image[:, ::2]
    expected = resample(half.copy(), placement)
    np.testing.assert_array_equal(resample(half, placement), expected)
    half = half.copy()
    half.flags.writeable = False
    np.testing.assert_array_equal(resample(half, placement), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
def test_an_image_of_the_canvas_size_is_copied_as_it_is(mode, exact, antialias):
    image = pictures(56, 78)["noise"]
    result = resample(image, place((56, 78), (56, 78), mode), exact, antialias)
    np.testing.assert_allclose(result * (255 if exact else 1), image, rtol=0, atol=1e-4)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("image_size", [(30, 90), (90, 30), (7, 5), (1, 1), (1, 90), (200, 3)])
def test_padding_is_black_whatever_the_memory_held(monkeypatch, image_size, exact):
    def dirty(shape, dtype):
        return np.full(shape, 7, dtype)

    placement = place(image_size, (33, 78), "letterbox")
    monkeypatch.setattr(np, "empty", dirty)
    canvas = resample(np.full((*image_size, 3), 200, np.uint8), placement, exact)
    top, left, bottom, right = placement.visible
    expected = np.zeros((33, 78, 3))
    expected[top:bottom, left:right] = 200 / 255 if exact else 200
    np.testing.assert_allclose(canvas, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("image_size", [(90, 160), (160, 90)])
def test_without_antialiasing_padded_or_not(image_size):
    """Four pixels around a point, however the image lies: nothing else tells the two apart."""
    image = pictures(*image_size)["noise"]
    placement = place(image_size, (40, 40), "letterbox")
    top, left, bottom, right = placement.visible
    stretched = place(image_size, (bottom - top, right - left), "stretch")
    shown = resample(image, placement, antialias=False)[top:bottom, left:right]
    np.testing.assert_array_equal(shown, resample(image, stretched, antialias=False))
    assert (shown != resample(image, stretched)).mean() > 0.5


@pytest.mark.parametrize("image_size", [(480, 640), (317, 1999), (1999, 317), (250, 2000)])
def test_what_is_cropped_away_is_not_kept(image_size):
    canvas = resample(np.zeros((*image_size, 3), np.uint8), place(image_size, (336, 336), "fill"))
    kept = canvas
    while isinstance(kept, np.ndarray) and kept.base is not None:
        kept = kept.base
    assert kept.nbytes <= 1.5 * canvas.nbytes
