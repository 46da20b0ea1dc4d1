"""Dense targets against painted pixels: each object's box on the canvas, cut into crops."""

from __future__ import annotations

import numpy as np
import pytest

from tierexp import CropGeometry
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.scene import ALPHABET, COLORS, KINDS, Background, Glyph, Plate, Scene
from tierexp.imaging.resize import Placement, place
from tierexp.training.dense_targets import HEADS, center_shares, dense_targets, reads_from

GEOMETRY = CropGeometry()
BY_NAME = {head.name: i for i, head in enumerate(HEADS)}


def painted(box: tuple[float, ...], placement: Placement) -> np.ndarray:
    """A canvas that is 1 where the box is, at a quarter of a pixel's precision."""
    fine = 4
    height, width = placement.canvas_size
    (top, left), (bottom, right) = (
        placement.to_canvas(box[1], box[0]),
        placement.to_canvas(box[3], box[2]),
    )
    centers_y = (np.arange(height * fine) + 0.5) / fine
    centers_x = (np.arange(width * fine) + 0.5) / fine
    down = ((centers_y >= top) & (centers_y < bottom)).reshape(height, fine).mean(1)
    across = ((centers_x >= left) & (centers_x < right)).reshape(width, fine).mean(1)
    return np.outer(down, across)


def token_shares(
    box: tuple[float, ...], placement: Placement, tiling: tuple[int, int]
) -> np.ndarray:
    """(N, 144): the painted area in each token of each crop, by slicing the painted canvas."""
    canvas = painted(box, placement)
    crops = [
        canvas[224 * row : 224 * row + 336, 224 * col : 224 * col + 336]
        for row in range(tiling[0])
        for col in range(tiling[1])
    ]
    return np.stack(crops).reshape(-1, 12, 28, 12, 28).sum((2, 4)).reshape(-1, 144)


def shows_start(plate: Plate, placement: Placement, tiling: tuple[int, int]) -> np.ndarray:
    """(N,): the crops that hold all of a code's first character, give or take a tenth."""
    first = painted(plate.glyphs[0].box, placement)
    held = token_shares(plate.glyphs[0].box, placement, tiling).sum(1)
    return held >= 0.9 * first.sum()


@pytest.mark.parametrize("index", range(4))
def test_tokens_that_show_an_object_are_told_so(index: int) -> None:
    scene = generate_scene("train", index)
    size, tiling = (scene.height, scene.width), (2, 3)
    placement = place(size, GEOMETRY.canvas_size(tiling), "fill")
    view = place(size, (336, 336), "letterbox")
    targets = dense_targets(scene, placement, view, tiling, GEOMETRY)
    assert targets.shape == (7, 144, len(HEADS))
    scale_y, scale_x = placement.scale
    asked = 0
    for plate in scene.plates:
        for glyph in plate.glyphs:
            x0, y0, x1, y1 = glyph.box
            area = (y1 - y0) * (x1 - x0) * scale_y * scale_x
            shares = token_shares(glyph.box, placement, tiling) / min(area, 28 * 28)
            plane = targets[1:, :, BY_NAME[f"character_{glyph.slot}"]]
            # Another plate's character of the same slot may share a token with a small one.
            expected = 1 + ALPHABET.index(glyph.char)
            knows = shows_start(plate, placement, tiling)[:, None]
            told = plane[knows & (shares > 0.65)]
            assert np.isin(expected, told) or not told.size
            assert (plane[knows & (shares > 0.15) & (shares < 0.55)] != 0).all()
            asked += told.size
    assert asked


def test_every_head_says_what_is_there_and_nothing_elsewhere() -> None:
    scene = generate_scene("train", 3)
    size, tiling = (scene.height, scene.width), (1, 1)
    placement = place(size, (336, 336), "letterbox")
    targets = dense_targets(scene, placement, placement, tiling, GEOMETRY)
    np.testing.assert_array_equal(targets[0], targets[1])  # global view and only crop are the same
    plane = targets[1].reshape(12, 12, len(HEADS))
    for thing in (*scene.plates, *scene.shapes):
        x0, y0, x1, y1 = thing.box
        y, x = placement.to_canvas((y0 + y1) / 2, (x0 + x1) / 2)
        here = plane[int(y // 28), int(x // 28)]
        assert here[BY_NAME["center"]] in range(1, 5)  # the nearest of four has a quarter or more
        assert here[BY_NAME["color"]] in (-100, *range(1, 1 + len(COLORS)))
        assert here[BY_NAME["kind"]] in (-100, *range(1, 2 + len(KINDS)))
    boxes = [thing.box for thing in (*scene.plates, *scene.shapes)]
    seen = sum(painted(box, placement) for box in boxes).reshape(12, 28, 12, 28).sum((1, 3))
    others = [number for name, number in BY_NAME.items() if name != "center"]  # it is nearby, too
    assert (plane[seen == 0][:, others] == 0).all()
    assert (seen == 0).any()


def test_heads_have_a_class_for_everything() -> None:
    classes = {head.name: head.classes for head in HEADS}
    assert classes["color"] == 1 + len(COLORS)
    assert classes["kind"] == 1 + 1 + len(KINDS)
    assert classes["character_0"] == classes["character_3"] == 1 + len(ALPHABET)


def plate_at(x: float, y: float, letter: float, text: str) -> Plate:
    glyphs = tuple(
        Glyph(char, slot, (x + slot * letter, y, x + (slot + 1) * letter, y + letter))
        for slot, char in enumerate(text)
    )
    box = (x - letter / 2, y - letter / 2, x + (len(text) + 0.5) * letter, y + 1.5 * letter)
    return Plate("red", box, text, glyphs)


# Two crops of a canvas of 336 x 560 pixels, which overlap from x = 224 to x = 336.
TWO_CROPS = (1, 2)
CANVAS = place((336, 560), (336, 560), "fill")
VIEW = place((336, 560), (336, 336), "letterbox")
SHADE = Background((200, 200, 200), (200, 200, 200), False, 0)


def test_a_crop_without_the_beginning_of_a_code_tells_no_places_in_it() -> None:
    # A character fills a token; the first lies just left of the second crop.
    plate = plate_at(196.0, 112.0, 28.0, "A7K3")
    scene = Scene(336, 560, SHADE, (plate,), ())
    _, first, second = dense_targets(scene, CANVAS, VIEW, TWO_CROPS, GEOMETRY)
    slots = [BY_NAME["slot"], *(BY_NAME[f"character_{slot}"] for slot in range(4))]
    assert set(first[:, BY_NAME["slot"]]) == {0, 1, 2, 3, 4}
    assert (second[:, slots] == 0).all()
    # What its characters are can be seen all the same: K and 3, and no A.
    told = {ALPHABET[value - 1] for value in second[:, BY_NAME["character"]] if value > 0}
    assert told == {"7", "K", "3"}


def test_a_code_is_read_where_it_begins_and_is_legible() -> None:
    def views(x: float, letter: float) -> list[bool]:
        first = plate_at(x, 100.0, letter, "A7K3").glyphs[0].box
        return reads_from(first, CANVAS, VIEW, TWO_CROPS, GEOMETRY).tolist()

    assert views(100.0, 12.0) == [False, True, False]  # the view shows 7 pixels of 12
    assert views(100.0, 28.0) == [True, True, False]
    assert views(240.0, 12.0) == [False, True, True]
    assert views(224.0 - 6, 12.0) == [False, True, False]
    assert views(330.0, 12.0) == [False, False, True]


def test_no_crop_shows_where_a_code_begins() -> None:
    first = (-6.0, 100.0, 6.0, 112.0)
    assert reads_from(first, CANVAS, VIEW, TWO_CROPS, GEOMETRY).tolist() == [True, False, False]


@pytest.mark.parametrize("index", range(4))
def test_the_shares_of_a_centre_balance_at_it(index: int) -> None:
    """Tokens weighted with their shares have their centre of mass where the object has its own."""
    scene, tiling = generate_scene("train", index), (3, 2)
    placement = place((scene.height, scene.width), GEOMETRY.canvas_size(tiling), "fill")
    rows, cols = 8 * 2 + 12, 8 + 12  # of the canvas's tokens
    for shape in scene.shapes:
        x0, y0, x1, y1 = shape.box
        y, x = placement.to_canvas((y0 + y1) / 2, (x0 + x1) / 2)
        by_crop = center_shares(shape.box, placement, tiling, GEOMETRY).reshape(6, 12, 12)
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
