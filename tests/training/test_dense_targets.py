"""Dense targets against painted pixels: each object's box on the canvas, cut into crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tierexp import CropGeometry
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.scene import ALPHABET, COLORS, KINDS, Background, Glyph, Plate, Scene
from tierexp.imaging.resize import Placement, place
from tierexp.training.dense_targets import HEADS, dense_targets
from tierexp.training.grounding import Grounding, TokenCanvas

GEOMETRY = CropGeometry()
BY_NAME = {head.name: i for i, head in enumerate(HEADS)}


def grounding(placement: Placement, view: Placement, tiling: tuple[int, int]) -> Grounding:
    return Grounding(TokenCanvas(view, (1, 1), GEOMETRY), TokenCanvas(placement, tiling, GEOMETRY))


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
    """(N,): the crops that hold all of a code's first character and of the plate before it, give
    or take a tenth."""
    _, top, right, bottom = plate.glyphs[0].box
    start = plate.box[0], top, right, bottom
    first = painted(start, placement)
    held = token_shares(start, placement, tiling).sum(1)
    return held >= 0.9 * first.sum()


@pytest.mark.parametrize("index", range(4))
def test_tokens_that_show_an_object_are_told_so(index: int) -> None:
    scene = generate_scene("train", index)
    size, tiling = (scene.height, scene.width), (2, 3)
    placement = place(size, GEOMETRY.canvas_size(tiling), "fill")
    view = place(size, (336, 336), "letterbox")
    targets = dense_targets(scene, grounding(placement, view, tiling))
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
    targets = dense_targets(scene, grounding(placement, placement, tiling))
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
    """With a margin of half a letter's height."""
    glyphs = tuple(
        Glyph(char, slot, (x + slot * letter, y, x + (slot + 1) * letter, y + letter))
        for slot, char in enumerate(text)
    )
    box = (x - letter / 2, y - letter / 2, x + (len(text) + 0.5) * letter, y + 1.5 * letter)
    return Plate("red", box, text, glyphs)


# Two crops of a canvas of 336 x 560 pixels, which overlap from x = 224 to x = 336.
SEEN = grounding(
    place((336, 560), (336, 560), "fill"), place((336, 560), (336, 336), "letterbox"), (1, 2)
)
SHADE = Background((200, 200, 200), (200, 200, 200), False, 0)


def test_a_crop_without_the_beginning_of_a_code_tells_no_places_in_it() -> None:
    # A character fills a token; the first lies just left of the second crop.
    plate = plate_at(196.0, 112.0, 28.0, "A7K3")
    scene = Scene(336, 560, SHADE, (plate,), ())
    _, first, second = dense_targets(scene, SEEN)
    slots = [BY_NAME["slot"], *(BY_NAME[f"character_{slot}"] for slot in range(4))]
    assert set(first[:, BY_NAME["slot"]]) == {0, 1, 2, 3, 4}
    assert (second[:, slots] == 0).all()
    # What its characters are can be seen all the same: K and 3, and no A.
    told = {ALPHABET[value - 1] for value in second[:, BY_NAME["character"]] if value > 0}
    assert told == {"7", "K", "3"}


def test_a_crop_without_the_margin_before_a_code_tells_no_places_in_it() -> None:
    """The second crop begins at x = 224: what it shows first could be any character."""
    slot = BY_NAME["slot"]
    for x, begins in ((224.0, False), (224.0 + 28, True)):
        scene = Scene(336, 560, SHADE, (plate_at(x, 112.0, 28.0, "A7"),), ())
        _, _, second = dense_targets(scene, SEEN)
        assert (second[:, slot] > 0).any() == begins
        assert (second[:, BY_NAME["character"]] > 0).any()


def test_a_neighbour_keeps_the_places_of_its_characters() -> None:
    """The second crop shows where the lower plate begins, and below the other's rim."""
    cut, whole = plate_at(210.0, 120.0, 14.0, "A7"), plate_at(238.0, 148.0, 14.0, "K3")
    assert cut.box[3] == whole.box[1] == 141.0  # in the row of tokens from 140 to 168
    scene = Scene(336, 560, SHADE, (cut, whole), ())
    _, _, second = dense_targets(scene, SEEN)
    _, _, alone = dense_targets(replace(scene, plates=(whole,)), SEEN)
    slot = BY_NAME["slot"]
    np.testing.assert_array_equal(second[:, slot], alone[:, slot])
    assert (alone[:, slot] > 0).any()
