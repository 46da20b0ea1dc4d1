from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tierexp.data.sample import QuestionDataset
from tierexp.data.tierqa import TierQA
from tierexp.data.tierqa.generator import generate_scene, scene_size
from tierexp.data.tierqa.questions import PLURALS, Question, Task, questions_for
from tierexp.data.tierqa.render import PALETTE, render, taller, text_color
from tierexp.data.tierqa.scene import (
    ALPHABET,
    COLORS,
    KINDS,
    Background,
    Box,
    Glyph,
    Kind,
    Plate,
    Scene,
    Shape,
)
from tierexp.errors import ConfigError

ASKED = ["read", "read", "read", "count", "locate", "compare", "coarse"]
GREY = Background((230, 230, 230), (230, 230, 230), rising=False, texture_seed=0)


@cache
def scenes(count: int, split: str = "some") -> list[Scene]:
    return [generate_scene(split, index) for index in range(count)]


@cache
def asked(per_task: int = 4, pictures: int = 1200) -> dict[Task, list[tuple[Scene, Question]]]:
    by_task: dict[Task, list[tuple[Scene, Question]]] = defaultdict(list)
    for index, scene in enumerate(scenes(pictures)):
        for question in questions_for(scene, Random(index), per_task):
            by_task[question.task].append((scene, question))
    return by_task


def crop(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.float64]:
    x0, y0, x1, y1 = (int(side) for side in box)
    return pixels[y0:y1, x0:x1].astype(np.float64)


def near(pixels: NDArray[np.float64], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(pixels - color).max(axis=-1) <= 12)


# Determinism


DIGEST = """
import hashlib
from tierexp.data.tierqa import TierQA
dataset = TierQA("validation", max_samples=40)
for index in {order}:
    digest = hashlib.sha256(dataset.image(index).tobytes() + repr(dataset[index]).encode())
    print(index, digest.hexdigest())
"""


def test_any_process_in_any_order_makes_the_same_pictures_and_questions() -> None:
    outputs = []
    for order, seed in (("range(0, 40, 6)", "1"), ("reversed(range(0, 40, 6))", "2")):
        outputs.append(
            subprocess.run(
                [sys.executable, "-c", DIGEST.format(order=order)],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
        )
    assert sorted(outputs[0]) == sorted(outputs[1])
    assert len(set(outputs[0])) == 7


def test_version_5_is_frozen() -> None:
    # Weights and results refer to it: whatever changes this digest is a new VERSION.
    dataset = TierQA("test", max_samples=500)
    text = repr([generate_scene("test", index) for index in range(100)])
    samples = [dataset[index] for index in range(500)]
    fields = ("sample_id", "question", "answers", "task")
    texts = [", ".join(f"{name}={getattr(s, name)!r}" for name in fields) for s in samples]
    text += f"[{', '.join(f'Sample({fields})' for fields in texts)}]"
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "f45e5313c7ac405511e658ec447a2f4e3e4dc7a9514cf86003ff0432d9dc823f"
    )


def test_splits_share_no_scene() -> None:
    seen = Counter(
        generate_scene(split, index)
        for split in ("train", "validation", "test")
        for index in range(300)
    )
    assert len(seen) == 900


# Scenes


def test_every_object_lies_inside_the_picture_and_apart_from_the_others() -> None:
    for scene in scenes(400):
        boxes = [plate.box for plate in scene.plates] + [shape.box for shape in scene.shapes]
        for x0, y0, x1, y1 in boxes:
            assert 0 < x0 < x1 < scene.width
            assert 0 < y0 < y1 < scene.height
        for one, other in combinations(boxes, 2):
            overlap_x = min(one[2], other[2]) - max(one[0], other[0])
            overlap_y = min(one[3], other[3]) - max(one[1], other[1])
            assert overlap_x < 0 or overlap_y < 0


def test_contents_of_a_scene() -> None:
    for scene in scenes(400):
        icon = max(scene.height, scene.width) < 240
        assert 3 <= len(scene.plates) <= (3 if icon else 6)
        assert 1 <= len(scene.shapes) <= (5 if icon else 8)
        assert max(Counter(shape.kind for shape in scene.shapes).values()) <= 4
        assert len({plate.color for plate in scene.plates}) == len(scene.plates)


def test_glyphs_spell_the_code_in_cells_of_a_fixed_pitch() -> None:
    for scene in scenes(400):
        for plate in scene.plates:
            assert 2 <= len(plate.text) <= 4
            assert "".join(glyph.char for glyph in plate.glyphs) == plate.text
            assert [glyph.slot for glyph in plate.glyphs] == list(range(len(plate.text)))
            first = plate.glyphs[0].box
            pitch = first[2] - first[0]
            for glyph in plate.glyphs:
                x = first[0] + glyph.slot * pitch
                assert glyph.box == (x, first[1], x + pitch, first[3])
                assert plate.box[0] < glyph.box[0] < glyph.box[2] < plate.box[2]
                assert plate.box[1] < glyph.box[1] < glyph.box[3] < plate.box[3]


def test_letters_range_from_fine_print_to_legible_at_every_tier() -> None:
    heights, shares = [], []
    for scene in scenes(1000):
        for plate in scene.plates:
            box = plate.glyphs[0].box
            heights.append(box[3] - box[1])
            shares.append(heights[-1] / math.sqrt(scene.height * scene.width))
    assert min(heights) >= 8
    assert min(shares) >= 0.0074  # rounded to whole pixels
    # Above 2.4 % only where letters of 8 pixels are already more than that.
    most = max(share for share, height in zip(shares, heights, strict=True) if height > 12)
    assert most <= 0.026
    # Log-uniform from 0.8 to 2.4 %: the middle is at their geometric mean, a little above it as no
    # letter is smaller than 8 pixels.
    assert math.sqrt(0.008 * 0.024) <= np.median(shares) <= 1.2 * math.sqrt(0.008 * 0.024)


def test_sizes_are_those_of_photos_scans_banners_and_icons() -> None:
    sizes = [scene_size("sizes", index) for index in range(4000)]
    aspects = np.array([width / height for height, width in sizes])
    long_sides = np.array([max(size) for size in sizes])
    assert long_sides.min() >= 96
    assert long_sides.max() <= 2400
    assert np.mean((long_sides >= 840) | (long_sides <= 224)) == 1
    expected = {
        "landscape photo": (0.50, (aspects > 1.05) & (aspects < 2.5) & (long_sides > 240)),
        "portrait": (0.28, (aspects > 0.5) & (aspects < 0.95) & (long_sides > 240)),
        "receipt": (0.05, aspects <= 0.505),
        "banner": (0.05, aspects >= 2.95),
        "icon": (0.05, long_sides < 240),
        "4:3": (0.17, np.abs(aspects - 4 / 3) < 0.004),
    }
    for name, (share, chosen) in expected.items():
        assert np.mean(chosen) == pytest.approx(share, abs=0.025), name


# Pixels


def test_size_is_known_without_drawing() -> None:
    dataset = TierQA("validation")
    for index in range(0, 100, 5):
        image = dataset.image(index)
        assert image.dtype == np.uint8
        assert image.shape == (*dataset.image_size(index), 3)


@pytest.mark.parametrize(("rows", "height"), [(2, 131), (5, 48), (9, 700), (12, 1999)])
@pytest.mark.parametrize("contrast", [1, 4])
def test_backgrounds_are_enlarged_as_pillow_enlarges_them(
    rows: int, height: int, contrast: int
) -> None:
    """Of all values, and of those between which the filter need not be cut off."""
    noise = np.random.default_rng(rows).integers(0, 256, (rows, 7, 3))
    image = (noise // contrast + 24 * (contrast - 1)).astype(np.uint8)
    whole = Image.fromarray(image).resize((7, height), Image.Resampling.BICUBIC)
    assert np.array_equal(taller(image, height), np.asarray(whole))


def test_every_glyph_has_ink_on_its_plate_and_none_beyond_its_cell() -> None:
    for scene in scenes(30):
        pixels = render(scene)
        for plate in scene.plates:
            for glyph in plate.glyphs:
                cell = crop(pixels, glyph.box)
                # Strokes one pixel thin are nowhere fully covered.
                assert 0.08 < np.mean(coverage(cell, plate)) < 0.6
                assert np.mean(coverage(cell, plate) > 0.6) > 0.05
                assert (coverage(cell, plate) < 0.1).any()
            # Within the rim and its rounded corners.
            inset = math.ceil(0.2 * (plate.glyphs[0].box[3] - plate.glyphs[0].box[1]))
            x0, y0, x1, y1 = (int(side) for side in plate.box)
            x0, y0, x1, y1 = x0 + inset, y0 + inset, x1 - inset, y1 - inset
            outside = np.ones((y1 - y0, x1 - x0), bool)
            for glyph in plate.glyphs:
                left, top, right, bottom = (int(side) for side in glyph.box)
                outside[top - y0 : bottom - y0, left - x0 : right - x0] = False
            assert near(crop(pixels, (x0, y0, x1, y1)), PALETTE[plate.color])[outside].all()


def coverage(cell: NDArray[np.float64], plate: Plate) -> NDArray[np.float64]:
    """How much of each pixel is ink, 0 to 1."""
    paper, ink = np.array(PALETTE[plate.color]), np.array(text_color(plate.color))
    share: NDArray[np.float64] = (cell - paper) @ (ink - paper) / ((ink - paper) @ (ink - paper))
    return share


@cache
def templates(height: int, width: int) -> NDArray[np.float64]:
    """What the regular font looks like in a cell of this size, centred or off by half a pixel:
    (characters, offsets, height x width), each of zero mean and unit norm.
    """
    scale = 16
    font = ImageFont.load_default(1.27 * height * scale)
    found = []
    for char in ALPHABET:
        for x, y in product((-0.5, 0, 0.5), repeat=2):
            image = Image.new("L", (width * scale, height * scale))
            middle = ((width / 2 + x) * scale, (0.94 * height + y) * scale)
            ImageDraw.Draw(image).text(middle, char, 255, font, anchor="ms")
            found.append(normalised(np.asarray(image.reduce(scale), np.float64)))
    return np.stack(found).reshape(len(ALPHABET), 9, -1)


def normalised(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = (ink - ink.mean()).ravel()
    unit: NDArray[np.float64] = centred / np.linalg.norm(centred)
    return unit


def test_codes_can_be_read_from_the_pixels() -> None:
    """By the most similar character, without knowing how they were drawn."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for scene in scenes(40):
        pixels = render(scene)
        for plate in scene.plates:
            for glyph in plate.glyphs:
                cell = coverage(crop(pixels, glyph.box), plate)
                if cell.shape[0] <= 24:  # larger ones are beyond doubt, and slow to compare
                    similarity = (templates(*cell.shape) @ normalised(cell)).max(axis=1)
                    read = ALPHABET[int(similarity.argmax())]
                    right[cell.shape[0] <= 12].append(read == glyph.char)
    assert np.mean(right[False]) > 0.99
    assert np.mean(right[True]) > 0.95


def test_no_character_is_clipped_by_its_cell() -> None:
    for height in (8, 11, 17, 40, 150):
        pitch, wide = math.ceil(0.95 * height), 3 * height
        for char in ALPHABET:
            inks = []
            for width in (pitch, wide):
                # As much plate on all sides as the letter is high.
                box = (height, height, height + width, 2 * height)
                plate = Plate("red", (0, 0, width + 2 * height, 3 * height), char, ())
                plate = replace(plate, glyphs=(Glyph(char, 0, box),))
                scene = Scene(3 * height, 5 * height, GREY, (plate,), ())
                inks.append(float(coverage(crop(render(scene), box), plate).sum()))
            assert inks[0] == pytest.approx(inks[1], rel=0.02), (char, height)


STAR = 5 * 0.45 * math.sin(math.pi / 5) / (2 * math.cos(math.pi / 10) * (1 + math.cos(math.pi / 5)))
AREAS: dict[Kind, float] = {
    "circle": math.pi / 4,
    "square": 1,
    "triangle": 1 / 2,
    "star": STAR,
    "diamond": 1 / 2,
    "cross": 1 - 4 * 0.34**2,
}


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_have_their_area_and_touch_their_box(kind: Kind) -> None:
    shape = Shape(kind, "blue", (20.0, 30.0, 220.0, 230.0))
    painted = near(render(Scene(260, 240, GREY, (), (shape,))).astype(float), PALETTE["blue"])
    assert np.mean(painted[30:230, 20:220]) == pytest.approx(AREAS[kind], abs=0.015)
    rows, cols = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], cols[0]) == pytest.approx((30, 20), abs=3)
    assert (rows[-1], cols[-1]) == pytest.approx((229, 219), abs=3)
    assert painted[130, 120]
    # All but the diamond's and the triangle's areas differ, and these two are told apart here.
    assert painted[225, 25] == (kind in ("square", "triangle"))


def test_every_shape_is_painted_in_its_colour() -> None:
    for scene in scenes(30):
        pixels = render(scene)
        for shape in scene.shapes:
            x, y = (shape.box[0] + shape.box[2]) / 2, (shape.box[1] + shape.box[3]) / 2
            assert tuple(pixels[int(y), int(x)].tolist()) == PALETTE[shape.color]


def test_colours_differ_clearly_from_one_another_and_from_any_background() -> None:
    for one, other in combinations(PALETTE.values(), 2):
        assert math.dist(one, other) > 60
    for scene in scenes(300):
        for end in (scene.background.start, scene.background.stop):
            assert max(end) - min(end) <= 16  # nearly grey: colours differ in hue
            for color in PALETTE.values():
                assert math.dist(end, color) > 55


def test_text_stands_out_as_much_as_the_web_guidelines_ask_of_body_text() -> None:
    def luminance(rgb: tuple[int, int, int]) -> float:
        # WCAG 2.2, "relative luminance".
        parts = [value / 255 for value in rgb]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for color in COLORS:
        low, high = sorted((luminance(PALETTE[color]), luminance(text_color(color))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, color


# Questions


def quadrant(box: Box, scene: Scene) -> str:
    left = box[0] + box[2] < scene.width
    top = box[1] + box[3] < scene.height
    return ("top " if top else "bottom ") + ("left" if left else "right")


def derived(scene: Scene, question: str) -> str:
    """The answer that the question's wording and the scene imply."""
    plates = {str(plate.color): plate for plate in scene.plates}
    if found := re.fullmatch(r"What is written on the (\w+) plate\?", question):
        return plates[found[1]].text
    if found := re.fullmatch(r"How many (\w+) are there\?", question):
        return str(sum(PLURALS[shape.kind] == found[1] for shape in scene.shapes))
    if found := re.fullmatch(r"Where is the (\w+) plate\?", question):
        return quadrant(plates[found[1]].box, scene)
    if found := re.fullmatch(r"Where is the (\w+) (\w+)\?", question):
        (box,) = (s.box for s in scene.shapes if (s.color, s.kind) == (found[1], found[2]))
        return quadrant(box, scene)
    pattern = r"Which plate (.+), the (\w+) or the (\w+) one\?"
    if found := re.fullmatch(pattern, question):
        first, second = plates[found[2]], plates[found[3]]
        assert first != second
        wins = {
            "is higher up": first.box[1] + first.box[3] < second.box[1] + second.box[3],
            "is further left": first.box[0] + first.box[2] < second.box[0] + second.box[2],
            "has the longer code": len(first.text) > len(second.text),
        }[found[1]]
        return first.color if wins else second.color
    if question == "What colour is the largest shape?":
        sides = sorted((s.box[2] - s.box[0], s.color) for s in scene.shapes)
        assert sides[-1][0] >= 1.3 * sides[-2][0]
        return sides[-1][1]
    found = re.fullmatch(r"Is there an? (\w+) (\w+)\?", question)
    assert found, question
    assert ("an orange" in question) == (found[1] == "orange")
    there = any((s.color, s.kind) == (found[1], found[2]) for s in scene.shapes)
    return "yes" if there else "no"


def test_answers_follow_from_the_scene() -> None:
    for questions in asked().values():
        for scene, question in questions:
            assert question.answer == derived(scene, question.text)


def test_close_calls_are_not_asked() -> None:
    for scene, question in asked()["locate"]:
        name = question.text.removeprefix("Where is the ").removesuffix("?")
        boxes = [p.box for p in scene.plates if f"{p.color} plate" == name]
        boxes += [s.box for s in scene.shapes if f"{s.color} {s.kind}" == name]
        (box,) = boxes
        assert abs((box[0] + box[2]) / 2 / scene.width - 0.5) >= 0.039
        assert abs((box[1] + box[3]) / 2 / scene.height - 0.5) >= 0.039
    for scene, question in asked()["compare"]:
        one, other = (p.box for p in scene.plates if f"the {p.color} " in question.text)
        if "higher" in question.text:
            assert abs(one[1] + one[3] - other[1] - other[3]) / 2 >= 0.079 * scene.height
        if "left" in question.text:
            assert abs(one[0] + one[2] - other[0] - other[2]) / 2 >= 0.079 * scene.width


def test_every_scene_supports_every_task_without_repeating_a_question() -> None:
    for index, scene in enumerate(scenes(300)):
        assert [q.task for q in questions_for(scene, Random(index))] == ASKED
        many = [question.text for question in questions_for(scene, Random(index), per_task=6)]
        assert len(many) == len(set(many)) > len(ASKED)


def shares(answers: list[str]) -> dict[str, float]:
    return {answer: count / len(answers) for answer, count in Counter(answers).items()}


@cache
def as_data_sets_ask() -> list[list[Question]]:
    """The questions of every picture."""
    return [questions_for(scene, Random(i)) for i, scene in enumerate(scenes(2500))]


def first_questions(task: Task) -> list[Question]:
    """The first question of a task, one a picture."""
    position = ASKED.index(task)
    return [questions[position] for questions in as_data_sets_ask()]


def test_counts_are_balanced() -> None:
    found = shares([question.answer for question in first_questions("count")])
    assert set(found) == {str(count) for count in range(5)}
    assert min(found.values()) > 0.16
    assert max(found.values()) < 0.24


def test_places_are_balanced() -> None:
    found = shares([question.answer for question in first_questions("locate")])
    assert len(found) == 4
    assert all(share == pytest.approx(1 / 4, abs=0.035) for share in found.values())


def test_comparisons_are_balanced_in_order_and_in_colour() -> None:
    questions = first_questions("compare")
    first = np.mean([f"the {q.answer} or" in q.text for q in questions])
    assert first == pytest.approx(1 / 2, abs=0.04)
    found = shares([question.answer for question in questions])
    assert all(found[color] == pytest.approx(1 / 8, abs=0.035) for color in COLORS)


def test_yes_and_no_are_balanced_and_so_are_colours() -> None:
    questions = first_questions("coarse")
    exists = shares([q.answer for q in questions if q.text.startswith("Is there")])
    assert exists["yes"] == pytest.approx(1 / 2, abs=0.04)
    largest = shares([q.answer for q in questions if q.text.startswith("What")])
    assert all(largest[color] == pytest.approx(1 / 8, abs=0.06) for color in COLORS)


def test_codes_are_balanced() -> None:
    codes = [question.answer for question in first_questions("read")]
    characters = shares(list("".join(codes)))
    assert set(characters) == set(ALPHABET)
    assert all(share == pytest.approx(1 / 22, abs=0.015) for share in characters.values())
    assert max(shares(codes).values()) < 0.01


@pytest.mark.parametrize(
    ("task", "chance"),
    [("read", 0.001), ("count", 0.21), ("locate", 1 / 4), ("compare", 1 / 2), ("coarse", 0.46)],
)
def test_a_question_does_not_reveal_its_answer(task: Task, chance: float) -> None:
    """The best constant answer to every wording, learnt on half of the pictures, stays at chance
    on the other half: the share of the most frequent answer (`coarse`: half of the yes-or-no
    questions and one in eight of the others).
    """
    questions = asked(1 if task in ("count", "coarse") else 4)[task]
    half = len(questions) // 2
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for _, question in questions[:half]:
        answers[question.text][question.answer] += 1
    right = [
        bool(answers[question.text])
        and answers[question.text].most_common(1)[0][0] == question.answer
        for _, question in questions[half:]
    ]
    assert np.mean(right) < chance + 0.03


# The data set


def test_no_constant_answer_to_a_wording_beats_the_blind_guess() -> None:
    names = {*COLORS, *KINDS, *PLURALS.values(), "an"}
    right: dict[str, list[bool]] = defaultdict(list)
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    dataset = TierQA("train", max_samples=6000)
    for index in range(len(dataset)):
        sample = dataset[index]
        words = sample.question.rstrip("?").replace(",", "").split()
        wording = " ".join("a" if word in names else word for word in words)
        right[wording].append(sample.blind_guess in sample.answers)
        answers[wording][sample.answers[0]] += 1
    assert len(right) == 9
    for wording, guesses in right.items():
        constant = answers[wording].most_common(1)[0][1] / len(guesses)
        # Of two answers that exclude one another, three standard deviations of the difference.
        noise = 3 * math.sqrt((np.mean(guesses) + constant) / len(guesses))
        assert np.mean(guesses) > constant - noise, wording


def test_it_is_a_question_dataset_of_seven_questions_per_picture() -> None:
    dataset: QuestionDataset = TierQA("test")
    assert len(dataset) == 2450
    assert dataset.name == "tierqa"
    samples = [dataset[index] for index in range(700)]
    assert [sample.task for sample in samples] == ASKED * 100
    assert len({sample.sample_id for sample in samples}) == 700
    assert [dataset.image_key(index) for index in range(14)] == (
        [dataset.image_key(0)] * 7 + [dataset.image_key(7)] * 7
    )
    assert dataset.image_key(0) != dataset.image_key(7)


def test_samples_ask_about_their_own_picture() -> None:
    dataset = TierQA("validation", max_samples=200)
    for index in range(len(dataset)):
        sample = dataset[index]
        scene = dataset.scene(index // 7)
        assert sample.answers == (derived(scene, sample.question),)


def test_max_samples_keeps_the_first_ones() -> None:
    few, all_of_them = TierQA("validation", max_samples=7), TierQA("validation")
    assert (len(few), len(all_of_them), few.name) == (7, 2450, "tierqa_validation")
    assert [few[index] for index in range(7)] == [all_of_them[index] for index in range(7)]
    assert len(TierQA("test", max_samples=10**9)) == 2450
    for index in (7, -1):
        with pytest.raises(IndexError):
            few[index]


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"data\.split='dev' .*train, validation, test"):
        TierQA("dev")  # type: ignore[arg-type]
    for value in (0, -3, 2.5, True):
        with pytest.raises(ConfigError, match=r"data\.max_samples"):
            TierQA("test", max_samples=value)  # type: ignore[arg-type]
