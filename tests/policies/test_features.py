"""What a router sees: numbers of a picture that was drawn by hand."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.support.policy_sweeps import sweep
from tierexp.data.tierqa import TierQA
from tierexp.errors import ConfigError
from tierexp.policies.detail import HUES, SIDE, named_colors, regions, thumbnail_side
from tierexp.policies.features import (
    ABSENT,
    Group,
    check_groups,
    feature_space,
    feature_table,
)
from tierexp.policies.images import look_at, scaled_down
from tierexp.policies.questions import Questions

RED, BLUE, GREY = (208, 38, 44), (34, 84, 204), (220, 222, 221)


def picture(height: int, width: int, *boxes: tuple[tuple[int, int, int], int, int, int, int]):
    image = np.empty((height, width, 3), np.uint8)
    image[:] = GREY
    for color, top, left, bottom, right in boxes:
        image[top:bottom, left:right] = color
    return image


def asked(text: str, height: int, width: int, tilings: list[tuple[int, int]]) -> Questions:
    points = len(tilings)
    some = np.full((1, points), 500.0)
    return Questions(
        (text,), ("it",), np.array([[height, width]], float), np.array([tilings], float),
        np.full((1, points), 0.1), some, some, np.ones(points), np.ones(points),
    )  # fmt: skip


def test_regions_are_found_where_they_are_drawn() -> None:
    image = picture(800, 1200, (RED, 100, 200, 150, 500), (BLUE, 400, 400, 460, 460))
    size = image.shape[0], image.shape[1]
    small = scaled_down(image, thumbnail_side(*size))
    assert small.shape[0] * small.shape[1] == pytest.approx(SIDE**2, rel=0.01)
    found = regions(small, size)
    (red,), (blue,) = found["red"], found["blue"]
    for region, box in ((red, (100, 200, 150, 500)), (blue, (400, 400, 460, 460))):
        assert (region.top, region.left, region.bottom, region.right) == pytest.approx(box, abs=5)
    assert not any(found[word] for word in found if word not in ("red", "blue"))


@pytest.mark.parametrize("seed", range(3))
def test_regions_are_those_of_a_labelling_of_every_colour(seed: int) -> None:
    """Noise of colours and greys, so that patches touch at corners, wind, enclose and border."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 31, 3)) * rng.integers(0, 2, (24, 31, 1))
    image = np.kron(coarse, np.ones((3, 2, 1))).astype(np.uint8)
    image[rng.random(image.shape[:2]) < 0.1] = rng.integers(0, 256, 3)
    hsv = np.asarray(Image.fromarray(image).convert("HSV")).astype(int)
    vivid, hue = (hsv[..., 1] >= 70) & (hsv[..., 2] >= 70), hsv[..., 0] * 360 // 255
    found = regions(image, (144, 62))  # twice as high
    for word, ranges in HUES.items():
        mask = vivid & np.any([(hue >= first) & (hue < end) for first, end in ranges], axis=0)
        labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
        boxes = [(2 * r.start, c.start, 2 * r.stop, c.stop) for r, c in ndimage.find_objects(labels)
                 if r.stop - r.start >= 4 and c.stop - c.start >= 4]  # fmt: skip
        assert [(r.top, r.left, r.bottom, r.right) for r in found[word]] == boxes
    assert sum(map(len, found.values())) > 20


def test_a_grey_image_has_no_regions() -> None:
    assert not any(regions(picture(20, 30), (20, 30)).values())


def test_a_small_image_is_looked_at_as_it_is() -> None:
    assert thumbnail_side(200, 300) == 300
    image = picture(200, 300, (RED, 10, 20, 30, 70))
    assert (scaled_down(image, 300) == image).all()
    ((region),) = regions(image, (200, 300))["red"]
    assert (region.top, region.left, region.bottom, region.right) == (10, 20, 30, 70)


def test_plates_of_the_benchmark_are_measured() -> None:
    """The plate that a question names has the height that the scene says, to a pixel or two."""
    dataset = TierQA("train", max_samples=7 * 8)
    checked = 0
    for index in range(0, len(dataset)):
        match = re.match(r"What is written on the (\w+) plate", dataset[index].question)
        if match is None:
            continue
        (plate,) = [
            p for p in dataset.scene(dataset.image_index(index)).plates if p.color == match[1]
        ]
        image = dataset.image(index)
        size = image.shape[0], image.shape[1]
        found = regions(scaled_down(image, thumbnail_side(*size)), size)[match[1]]
        lines = [region for region in found if region.width >= 1.35 * region.height]
        nearest = max(lines, key=lambda region: region.height * region.width)
        pixel = max(1.0, max(size) / thumbnail_side(*size))
        assert nearest.height == pytest.approx(plate.box[3] - plate.box[1], abs=3 * pixel)
        checked += 1
    assert checked == 24


def test_lengths_are_in_pixels_of_each_points_crops() -> None:
    """640 x 480 at 2 x 3 crops: a canvas of 784 x 560, so 1.225 canvas pixels a pixel; at 1 x 1 a
    square canvas of 336 is covered at 0.7.
    """
    image = picture(480, 640, (RED, 100, 200, 120, 260))
    found = regions(image, (480, 640))
    space = feature_space(("points", "detail"), ["q"])
    table = feature_table(
        space, asked("the red one?", 480, 640, [(1, 1), (2, 3)]), {"it": found}, "fill"
    )
    row = dict(zip(space.names, table[0].T, strict=True))
    assert row["scale"] == pytest.approx(np.log2([0.7, 1.225]), abs=1e-3)
    assert row["named_line_height_min"] == pytest.approx(np.log2([20 * 0.7, 20 * 1.225]), abs=1e-3)
    assert row["named_line_elongation_max"].tolist() == [3, 3]
    assert row["named_blob_largest_min"].tolist() == [ABSENT, ABSENT]
    assert row["lines"].tolist() == [1, 1]
    # A square canvas keeps 480 of the 640 columns, 80 are lost on either side.
    assert row["content_kept"][0] == pytest.approx(0.75)
    assert row["named_kept"].tolist() == [1, 1]


def test_what_a_point_crops_away_is_known() -> None:
    image = picture(480, 640, (RED, 100, 60, 120, 100))
    table = feature_table(
        feature_space(("detail",), ["q"]), asked("red?", 480, 640, [(1, 1), (2, 3)]),
        {"it": regions(image, (480, 640))}, "fill",
    )  # fmt: skip
    kept = table[0, :, -2]
    assert kept == pytest.approx([0.5, 1.0], abs=0.02)  # columns 60 to 80 of 60 to 100 are lost


def test_a_question_that_names_no_colour_has_no_named_regions() -> None:
    found = regions(picture(480, 640, (RED, 100, 200, 120, 260)), (480, 640))
    space = feature_space(("detail",), ["q"])
    table = feature_table(space, asked("How many?", 480, 640, [(1, 1)]), {"it": found}, "fill")
    named = [n for n, name in enumerate(space.names) if name.startswith("named")]
    assert (table[0, 0, named] == ABSENT).all()
    assert np.isfinite(table).all()


def test_words_are_words() -> None:
    assert named_colors("Which is further left, the Blue or the red one? A redder bluebell?") == [
        "red", "blue"
    ]  # fmt: skip
    questions = ["How many stars?"] * 5 + ["Where is it?"] * 4
    space = feature_space(("words",), questions)
    assert space.vocabulary == ("how", "many", "stars")  # the others are in four questions alone
    table = feature_table(space, asked("many stars", 9, 9, [(1, 1)]), None, "fill")
    assert table[0, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("groups", [[], ["task"], "words", None, 3, ["words", "tasks"]])
def test_other_groups_are_refused(groups: object) -> None:
    with pytest.raises(ConfigError, match=r"policy\.features"):
        check_groups(groups)


def test_the_task_and_the_answers_are_nowhere() -> None:
    """Features are the same whatever the task, the answers and the scores are."""
    questions = sweep(images=4)
    images = look_at(questions).regions()
    groups: tuple[Group, ...] = ("words", "sizes", "points", "detail")
    space = feature_space(groups, questions.questions)
    before = feature_table(space, questions.asked, images, "fill")
    changed = dataclasses.replace(
        questions,
        accuracy=1 - questions.accuracy,
        confidence=questions.confidence * 3,
        sample_ids=tuple(f"x{n}" for n in range(len(questions))),
    )
    assert (feature_table(space, changed.asked, images, "fill") == before).all()
    fields = {field.name for field in dataclasses.fields(Questions)}
    assert not fields & {"tasks", "answers", "accuracy", "sample_ids", "confidence"}


def test_sizes_are_in_powers_of_two() -> None:
    table = feature_table(
        feature_space(("sizes",), ["q"]), asked("q", 256, 1024, [(1, 1)]), None, "fill"
    )
    assert table[0, 0].tolist() == [0, 18, math.log2(4)]
