"""Boxes among vision tokens, against pixels counted by hand and centres of mass."""

from __future__ import annotations

import numpy as np
import pytest

from tierexp import CropGeometry
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.scene import Box
from tierexp.imaging.resize import place
from tierexp.training.grounding import Grounding, TokenCanvas

GEOMETRY = CropGeometry()
# Two crops of a canvas of 336 x 560 pixels, which overlap from x = 224 to x = 336. The global view
# shows 0.6 of a pixel for each.
TWO_CROPS = Grounding(
    TokenCanvas(place((336, 560), (336, 336), "letterbox"), (1, 1), GEOMETRY),
    TokenCanvas(place((336, 560), (336, 560), "fill"), (1, 2), GEOMETRY),
)


def letter(x: float, height: float) -> Box:
    return x, 100.0, x + height, 100.0 + height


def test_a_code_is_read_where_it_begins_and_is_legible() -> None:
    def views(x: float, height: float) -> list[bool]:
        return TWO_CROPS.reads_from(letter(x, height)).tolist()

    assert views(100.0, 12.0) == [False, True, False]  # the view shows 7 pixels of 12
    assert views(100.0, 28.0) == [True, True, False]
    assert views(240.0, 12.0) == [False, True, True]
    assert views(224.0 - 6, 12.0) == [False, True, False]
    assert views(330.0, 12.0) == [False, False, True]


def test_no_crop_shows_where_a_code_begins() -> None:
    assert TWO_CROPS.reads_from(letter(-6.0, 12.0)).tolist() == [True, False, False]


def test_the_global_view_is_read_from_ten_pixels_on() -> None:
    assert not TWO_CROPS.reads_from(letter(100.0, 16.6))[0]
    assert TWO_CROPS.reads_from(letter(100.0, 16.8))[0]


def test_what_shows_a_box_is_at_least_half_as_much_as_the_most() -> None:
    """Of 28 pixels across, 19 on the third token and 9 on the fourth: the third alone."""
    shown = TWO_CROPS.shown_by((65.0, 112.0, 93.0, 140.0))
    assert shown.shape == (3, 144)
    first = shown[1].reshape(12, 12)
    assert np.argwhere(first).tolist() == [[4, 2]]
    first = TWO_CROPS.shown_by((69.0, 112.0, 97.0, 140.0))[1].reshape(12, 12)
    assert np.argwhere(first).tolist() == [[4, 2], [4, 3]]


@pytest.mark.parametrize("index", range(4))
def test_the_shares_of_a_centre_balance_at_it(index: int) -> None:
    """Tokens weighted with their shares have their centre of mass where the object has its own."""
    scene, tiling = generate_scene("train", index), (3, 2)
    placement = place((scene.height, scene.width), GEOMETRY.canvas_size(tiling), "fill")
    view = place((scene.height, scene.width), (336, 336), "letterbox")
    grounding = Grounding(
        TokenCanvas(view, (1, 1), GEOMETRY), TokenCanvas(placement, tiling, GEOMETRY)
    )
    rows, cols = 8 * 2 + 12, 8 + 12  # of the canvas's tokens
    for shape in scene.shapes:
        x0, y0, x1, y1 = shape.box
        y, x = placement.to_canvas((y0 + y1) / 2, (x0 + x1) / 2)
        by_crop = grounding.center_shares(shape.box).reshape(6, 12, 12)
        canvas = np.zeros((rows, cols))
        for number, crop in enumerate(by_crop):
            top, left = 8 * (number // 2), 8 * (number % 2)
            canvas[top : top + 12, left : left + 12] = crop
        if not (0 <= y < rows * 28 and 0 <= x < cols * 28):
            assert (canvas == 0).all()
            continue
        assert canvas.sum() == pytest.approx(1)
        assert (canvas > 0).sum() <= 4
        middle = [28 * (np.arange(count) + 0.5) for count in (rows, cols)]
        assert canvas.sum(1) @ middle[0] == pytest.approx(np.clip(y, 14, rows * 28 - 14))
        assert canvas.sum(0) @ middle[1] == pytest.approx(np.clip(x, 14, cols * 28 - 14))
