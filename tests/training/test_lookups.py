"""Where questions are taught to look: against the words of the question and the painted picture."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from tierexp import CropGeometry
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.questions import Mention, Question, questions_for
from tierexp.imaging.resize import Placement, place
from tierexp.models.molmo.token_layout import DROPPED
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.models.molmo.tokenizer_training import train_tokenizer
from tierexp.training.grounding import Grounding, TokenCanvas, beginning_of
from tierexp.training.lookups import Lookup, divergence, lookups_of, stack_lookups
from tierexp.training.taught_heads import TAUGHT_HEADS

GEOMETRY = CropGeometry()
START = 1000


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PromptTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    scenes = [generate_scene("train", index) for index in range(50)]
    questions = [question for scene in scenes for question in questions_for(scene, Random(0))]
    train_tokenizer((f" User: {q.text} Assistant: {q.answer}" for q in questions), 384, path)
    return PromptTokenizer.from_file(path, 400)


def asked(task: str, about: str = "") -> tuple[int, Question]:
    """(index of the scene, question): the first of a task with those words."""
    for index in range(500):
        for question in questions_for(generate_scene("train", index), Random(index), 4):
            if question.task == task and about in question.text:
                return index, question
    raise LookupError(task)


POSITIONS = 10 + np.arange(2 * 144).reshape(2, 144)
"""Of the tokens of a global view and of a canvas of one crop."""


def grounding(view: Placement) -> Grounding:
    """Of a picture that lies on the only crop as it does on the global view."""
    canvas = TokenCanvas(view, (1, 1), GEOMETRY)
    return Grounding(canvas, canvas)


def lookups(index: int, question: Question, tokenizer: PromptTokenizer) -> list[Lookup]:
    scene = generate_scene("train", index)
    view = place((scene.height, scene.width), (336, 336), "letterbox")

    return lookups_of(question, START, grounding(view), POSITIONS, tokenizer)


def word(question: Question, position: int, tokenizer: PromptTokenizer) -> str:
    ids = tokenizer.encode_prompt(question.text) + tokenizer.encode_answer(question.answer)
    return tokenizer.decode(ids[position - START : position - START + 1])


def test_a_name_looks_at_its_attribute_and_its_object(tokenizer: PromptTokenizer) -> None:
    index, question = asked("locate")
    *_, color, kind = question.text.rstrip("?").split()
    found = {lookup.step: lookup for lookup in lookups(index, question, tokenizer)}
    attribute, item = found["attribute"], found["object"]
    assert attribute.position == item.position
    assert word(question, attribute.position, tokenizer) == kind
    assert word(question, int(attribute.groups[0][0]), tokenizer) == color
    places = item.groups[0] - 10
    assert item.shares == (1.0,)
    assert (places < 144).all()  # in the global view, which is the first
    row, column = places // 12, places % 12
    vertical, horizontal = question.answer.split()
    assert ("top" if row.mean() < 5.5 else "bottom") == vertical
    assert ("left" if column.mean() < 5.5 else "right") == horizontal


def test_the_attribute_of_a_word_of_several_tokens_is_the_word_before(
    tokenizer: PromptTokenizer,
) -> None:
    index, question = asked("count", "crosses")
    found = {lookup.step: lookup for lookup in lookups(index, question, tokenizer)}
    end = START + tokenizer.prompt_token_at(question.text, question.text.index(" are"))
    assert found["attribute"].position == end
    assert word(question, int(found["attribute"].groups[0][0]), tokenizer) == "many"


def test_what_is_there_may_be_found_in_any_view(tokenizer: PromptTokenizer) -> None:
    index, question = asked("coarse", "largest")
    (item,) = (x for x in lookups(index, question, tokenizer) if x.step == "object")
    places = item.groups[0] - 10
    assert (places < 144).any()
    assert (places >= 144).any()


def test_things_on_one_token_count_twice_there(tokenizer: PromptTokenizer) -> None:
    box = (10.0, 10.0, 18.0, 18.0)  # in the middle of the first token
    mention = Mention(len("How many stars"), (box, box))
    question = Question("count", "How many stars are there?", "2", (mention,))
    view = place((336, 336), (336, 336), "letterbox")
    found = lookups_of(question, START, grounding(view), POSITIONS, tokenizer)
    (item,) = (lookup for lookup in found if lookup.step == "count")
    assert [group.tolist() for group in item.groups] == [[10 + 144], [0]]
    assert item.shares == pytest.approx((0.5, 0.5))


def test_a_thing_between_tokens_counts_once(tokenizer: PromptTokenizer) -> None:
    box = (24.0, 10.0, 32.0, 18.0)  # its centre is on the border of the first two tokens
    mention = Mention(len("How many stars"), (box,))
    question = Question("count", "How many stars are there?", "1", (mention,))
    view = place((336, 336), (336, 336), "letterbox")
    found = lookups_of(question, START, grounding(view), POSITIONS, tokenizer)
    (item,) = (lookup for lookup in found if lookup.step == "count")
    assert [group.tolist() for group in item.groups] == [[10 + 144], [10 + 145], [0]]
    assert item.shares == pytest.approx((1 / 6, 1 / 6, 2 / 3))


def test_what_predicts_an_answer_looks_at_the_name(tokenizer: PromptTokenizer) -> None:
    index, question = asked("compare")
    found = lookups(index, question, tokenizer)
    names = [lookup for lookup in found if lookup.step == "name"]
    answer = len(tokenizer.encode_answer(question.answer))
    first = START + len(tokenizer.encode_prompt(question.text))
    assert [lookup.position for lookup in names] == list(range(first - 1, first + answer))
    for lookup in names:
        assert lookup.shares == (0.5, 0.5)
        colors = [word(question, int(group[0]), tokenizer) for group in lookup.groups]
        assert question.text.split(", ")[1] == f"the {colors[0]} or the {colors[1]} one?"


def test_a_character_is_looked_up_by_the_token_before_it(tokenizer: PromptTokenizer) -> None:
    index, question = asked("read")
    found = [x for x in lookups(index, question, tokenizer) if x.step == "character"]
    found.sort(key=lambda lookup: lookup.position)
    *found, end = found
    assert end.groups[0].tolist() == [0]  # where no character is left
    assert end.position == START - 1 + len(
        tokenizer.encode_prompt(question.text) + tokenizer.encode_answer(question.answer)
    )
    spelled = [word(question, lookup.position + 1, tokenizer) for lookup in found]
    assert "".join(spelled) == question.answer
    columns = [((lookup.groups[0] - 10) % 12).mean() for lookup in found]
    assert columns == sorted(columns)
    assert any((lookup.groups[0] - 10 >= 144).any() for lookup in found)  # crops, too


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_a_count_is_the_attention_that_is_left_over(
    number: int, tokenizer: PromptTokenizer
) -> None:
    questions = (
        (i, q) for i in range(500) for q in questions_for(generate_scene("train", i), Random(i), 4)
    )
    index, question = next(
        (i, q) for i, q in questions if q.task == "count" and q.answer == str(number)
    )
    (item,) = (x for x in lookups(index, question, tokenizer) if x.step == "count")
    assert sum(item.shares) == pytest.approx(1)
    # What keys as strong together for each thing and a sink twice as strong bring about.
    assert item.groups[-1].tolist() == [0]
    assert item.shares[-1] == pytest.approx(2 / (number + 2))
    # On the canvas, which is the second view here, around each one's centre: seen from afar, all
    # that is looked at has its centre of mass where the things have theirs.
    scene = generate_scene("train", index)
    kind = question.text.split()[2]
    view = place((scene.height, scene.width), (336, 336), "letterbox")
    centers = []
    for shape in scene.shapes:
        if kind.startswith(shape.kind):
            x0, y0, x1, y1 = shape.box
            centers.append(view.to_canvas((y0 + y1) / 2, (x0 + x1) / 2))
    assert len(centers) == number
    if number:
        places = np.array([int(group[0]) for group in item.groups[:-1]]) - 10 - 144
        shares = np.array(item.shares[:-1]) / sum(item.shares[:-1])
        seen = 28 * np.array([shares @ (places // 12 + 0.5), shares @ (places % 12 + 0.5)])
        assert seen == pytest.approx(np.mean(centers, axis=0), abs=2)  # small shares are left out


def test_what_is_not_there_is_looked_for_in_vain(tokenizer: PromptTokenizer) -> None:
    for index in range(50):
        for question in questions_for(generate_scene("train", index), Random(index), 4):
            if question.text.startswith("Is there"):
                (item,) = (x for x in lookups(index, question, tokenizer) if x.step == "object")
                assert (item.groups[0].tolist() == [0]) == (question.answer == "no")


def test_stacked() -> None:
    one = Lookup(7, "object", (np.array([2, 3]), np.array([0])), (0.25, 0.75))
    other = Lookup(5, "name", (np.array([4]),), (1.0,))
    stacked = stack_lookups([[], [one], [other]], 8)
    number = {(taught.step, taught.quarter): n for n, taught in enumerate(TAUGHT_HEADS)}
    names = [number["name", quarter] for quarter in (1, 2, 3)]
    assert stacked["looks_from"].tolist() == [
        [1, 7, number["object", 1]],
        *([2, 5, name] for name in names),
    ]
    assert stacked["looks_at"].tolist() == [
        [2, 0, 1, 1, 0, 0, 0, 0],
        *[[0, 0, 0, 0, 1, 0, 0, 0]] * 3,
    ]
    shares = torch.tensor([[0.25, 0.75], *[[1.0, 0.0]] * 3])
    torch.testing.assert_close(stacked["look_shares"], shares)


def test_divergence_of_attention_that_is_known() -> None:
    """Without a query all that is visible gets the same: 8 of 10 positions, 1/8 each."""
    queries, keys = torch.zeros(2, 4), torch.ones(10, 4)
    visible = torch.arange(10).expand(2, -1) < 8
    looks_at = torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 2, 2, 0, 0, 0, 0, 0, 0]])
    shares = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    expected = [np.log(8 / 2), 0.25 * np.log(0.25 * 8) + 0.75 * np.log(0.75 * 8 / 3)]
    found = divergence(queries, keys, visible, looks_at, shares)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_divergence_teaches_a_query_to_look_where_it_should() -> None:
    torch.manual_seed(0)
    queries, keys = torch.zeros(1, 4, requires_grad=True), torch.randn(6, 4)
    looks_at, shares = torch.tensor([[0, 0, 1, 0, 0, 0]]), torch.ones(1, 1)
    optimizer = torch.optim.SGD([queries], 5.0)
    for _ in range(200):
        optimizer.zero_grad()
        divergence(
            queries, keys, torch.ones(1, 6, dtype=torch.bool), looks_at, shares
        ).sum().backward()
        optimizer.step()
    assert (queries @ keys.mT * 0.5).softmax(-1).argmax() == 2


def test_a_count_of_what_is_not_all_to_be_seen_is_not_taught(tokenizer: PromptTokenizer) -> None:
    """Off the canvas, which a filled canvas cuts, or on tokens that were left out."""
    inside, outside = (10.0, 10.0, 18.0, 18.0), (10.0, 400.0, 18.0, 408.0)
    view = place((336, 336), (336, 336), "letterbox")
    dropped = POSITIONS.copy()
    dropped[1, 0] = DROPPED
    for boxes, positions, taught in (
        ((inside,), POSITIONS, True),
        ((inside, outside), POSITIONS, False),
        ((inside,), dropped, False),
    ):
        mention = Mention(len("How many stars"), boxes)
        question = Question("count", "How many stars are there?", str(len(boxes)), (mention,))
        found = lookups_of(question, START, grounding(view), positions, tokenizer)
        assert any(lookup.step == "count" for lookup in found) == taught


def test_what_is_left_of_a_thing_counts_for_all_of_it(tokenizer: PromptTokenizer) -> None:
    box = (24.0, 10.0, 32.0, 18.0)  # its centre is on the border of the first two tokens
    mention = Mention(len("How many stars"), (box,))
    question = Question("count", "How many stars are there?", "1", (mention,))
    view = place((336, 336), (336, 336), "letterbox")
    positions = POSITIONS.copy()
    positions[1, 0] = DROPPED
    found = lookups_of(question, START, grounding(view), positions, tokenizer)
    (item,) = (lookup for lookup in found if lookup.step == "count")
    assert [group.tolist() for group in item.groups] == [[10 + 145], [0]]
    assert item.shares == pytest.approx((1 / 3, 2 / 3))


def test_a_character_beyond_a_seam_is_looked_up_in_the_global_view(
    tokenizer: PromptTokenizer,
) -> None:
    """A code begins at the end of the first crop; what follows is kept in the second alone, which
    does not show where it begins."""
    picture = (336, 560)
    two_crops = Grounding(
        TokenCanvas(place(picture, (336, 336), "letterbox"), (1, 1), GEOMETRY),
        TokenCanvas(place(picture, (336, 560), "fill"), (1, 2), GEOMETRY),
    )
    first, second = (196.0, 112.0, 212.0, 128.0), (322.0, 112.0, 338.0, 128.0)
    plate = (190.0, 106.0, 344.0, 134.0)
    beginning = beginning_of(plate, first)
    assert beginning == (190.0, 112.0, 212.0, 128.0)
    assert two_crops.reads_from(beginning).tolist() == [False, True, False]
    positions = 10 + np.arange(3 * 144).reshape(3, 144)
    grid = positions.reshape(3, 12, 12)
    grid[1, :, 10:] = grid[2, :, :2] = DROPPED  # each token of the overlap is kept once
    mention = Mention(len("What is written on the red plate"), (plate,))
    text = "What is written on the red plate?"
    question = Question("read", text, "A7", (mention,), (first, second))
    found = lookups_of(question, START, two_crops, positions, tokenizer)
    by_position = {x.position: x.groups[0].tolist() for x in found if x.step == "character"}
    one, other, end = (by_position[place] for place in sorted(by_position))
    assert one == [grid[1, 4, 7]]
    # Pixels 193.2 to 202.8 across, 2.8 of them on the token before, and 134.4 to 144 down.
    assert other == [grid[0, 4, 7], grid[0, 5, 7]]
    assert end == [0]
