"""Where images land, against the worked examples and what must hold of every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierexp.errors import ConfigError
from tierexp.imaging.resize import Resize, place

MODES = ("fill", "letterbox", "stretch")
sides = st.integers(1, 200)
sizes = st.tuples(sides, sides)


def test_fill_of_the_landscape_example():
    placement = place((480, 640), (448, 672), "fill")
    assert placement.scaled_size == (504, 672)
    assert placement.offset == (-28, 0)
    assert placement.scale == (1.05, 1.05)
    assert placement.visible == (0, 0, 448, 672)
    assert placement.content_kept == pytest.approx(448 / 504)
    assert placement.padding_fraction == 0


def test_fill_of_the_portrait_example():
    placement = place((640, 480), (672, 448), "fill")
    assert placement.scaled_size == (672, 504)
    assert placement.offset == (0, -28)
    assert placement.scale == (1.05, 1.05)
    assert placement.content_kept == pytest.approx(448 / 504)


def test_letterbox_shows_everything_and_pads_the_odd_pixel_below():
    placement = place((100, 333), (336, 336), "letterbox")
    assert placement.scaled_size == (100, 336)
    assert placement.offset == (118, 0)
    placement = place((101, 336), (336, 336), "letterbox")
    assert placement.visible == (117, 0, 218, 336)
    assert placement.content_kept == 1
    assert placement.padding_fraction == pytest.approx(1 - 101 / 336)


def test_an_odd_pixel_is_cropped_below():
    placement = place((101, 100), (200, 200), "fill")
    assert placement.scaled_size == (202, 200)
    assert place((201, 200), (200, 200), "fill").offset == (0, 0)


def test_letterbox_scales_in_single_precision():
    # A square fills a square canvas, unless single precision falls a hair short of 336 and int()
    # drops a pixel; the published preprocessor does, and so do the images it trained on.
    short = [
        side
        for side in range(1, 2000)
        if place((side, side), (336, 336), "letterbox").scaled_size == (335, 335)
    ]
    single = np.arange(1, 2000, dtype=np.float32)
    assert short == list(np.flatnonzero(single * (np.float32(336) / single) < 336) + 1)
    assert short


def test_stretch_keeps_everything_and_pads_nothing():
    placement = place((10, 1000), (336, 560), "stretch")
    assert placement.scaled_size == (336, 560)
    assert placement.content_kept == 1
    assert placement.padding_fraction == 0


@given(sizes, sizes)
def test_fill_covers_the_canvas_and_touches_it_on_one_axis(image_size, canvas_size):
    placement = place(image_size, canvas_size, "fill")
    assert placement.visible == (0, 0, *canvas_size)
    assert placement.scaled_size[0] == canvas_size[0] or placement.scaled_size[1] == canvas_size[1]
    scale = max(canvas_size[0] / image_size[0], canvas_size[1] / image_size[1])
    for scaled, side in zip(placement.scaled_size, image_size, strict=True):
        assert abs(scaled - scale * side) <= 0.5 + 1e-9


@given(sizes, sizes)
def test_letterbox_lies_within_the_canvas(image_size, canvas_size):
    placement = place(image_size, canvas_size, "letterbox")
    top, left, bottom, right = placement.visible
    assert (bottom - top, right - left) == placement.scaled_size
    for before, after in (
        (top, canvas_size[0] - bottom),
        (left, canvas_size[1] - right),
    ):
        assert after - before in (0, 1)


@given(sizes, sizes, st.sampled_from(MODES))
def test_corners_of_the_image_map_to_the_canvas_and_back(image_size, canvas_size, mode):
    placement = place(image_size, canvas_size, mode)
    assert placement.to_canvas(0, 0) == placement.offset
    far = placement.to_canvas(*image_size)
    expected = np.add(placement.offset, placement.scaled_size)
    np.testing.assert_allclose(far, expected)
    np.testing.assert_allclose(placement.from_canvas(*far), image_size)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"crops": "cover"}, "resize.crops"),
        ({"global_view": None}, "resize.global_view"),
        ({"exact": "yes"}, "resize.exact"),
    ],
)
def test_impossible_settings_name_their_key(settings, key):
    with pytest.raises(ConfigError) as error:
        Resize(**settings)
    assert error.value.key == key
