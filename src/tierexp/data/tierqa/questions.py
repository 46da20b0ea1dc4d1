"""Questions about a scene, in five tasks, each with exactly one right answer.

In: a scene and a random stream. Out: questions in a few fixed wordings. Answers cannot be guessed
from the question: who is asked about is drawn so that, over many scenes, the answers to one
wording are close to equally frequent. What a picture leaves to judgement (an object on the middle
line, two shapes of nearly equal size) is not asked.

| task | asks for | answers |
|---|---|---|
| `read` | the code of a plate | 2 to 4 characters |
| `count` | the number of shapes of a kind | 0 to 4 |
| `locate` | the quadrant of a plate, or of a shape unique in kind and colour | four quadrants |
| `compare` | which of two plates is higher up, further left, or longer in code | two colours |
| `coarse` | whether a coloured shape exists; the colour of the largest shape | yes, no, a colour |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from tierexp.data.tierqa.scene import COLORS, KINDS, Box, Kind, Plate, Scene, center

Task = Literal["read", "count", "locate", "compare", "coarse"]
TASKS: tuple[Task, ...] = get_args(Task)
READ_PER_PICTURE = 3
"""Codes that are asked for, of different plates: every picture has as many."""
PER_PICTURE = len(TASKS) - 1 + READ_PER_PICTURE
"""Questions about a picture."""

CLEARANCE = 0.08
"""Distance, as a share of the picture's side, from which two positions differ clearly."""
SIZE_RATIO = 1.3
"""The side of the largest shape is at least this much above the second's."""

PLURALS: dict[Kind, str] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "diamond": "diamonds",
    "cross": "crosses",
}

# By count: most kinds of a scene have few shapes or none. These weights, fitted to the scenes of
# `generator`, bring the answers 0 to 4 to nearly equal shares.
_COUNT_WEIGHTS = (1, 1.6, 4, 22, 200)
MOST_OF_A_KIND = len(_COUNT_WEIGHTS) - 1
"""Shapes of one kind in a scene, at most."""


@dataclass(frozen=True)
class Mention:
    """Words of a question, and what of the picture they name.

    Args:
        end: Where the words end in the question's text.
        boxes: Boxes of the objects they name; none where the picture has nothing of it.
    """

    end: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Question:
    """One question and its only answer.

    Args:
        task: What kind of question.
        text: Its words.
        answer: The only right one.
        mentions: What its words name; models are taught by it where to look, never told.
        spelled: Boxes of the answer's characters where the picture spells it.
    """

    task: Task
    text: str
    answer: str
    mentions: tuple[Mention, ...] = ()
    spelled: tuple[Box, ...] = ()


def questions_for(scene: Scene, rng: Random, per_task: int = 1) -> list[Question]:
    """Up to `per_task` questions of every task, task by task, no question twice.

    Args:
        scene: One of which `answerable` holds.
        rng: Chooses what is asked.
        per_task: Draws per task, of which one of `read` gives `READ_PER_PICTURE`; a repeated
            question is dropped.

    The more draws, the less balanced what is left of them: a picture has more kinds of shapes
    that are absent than present, so of four draws a quarter of the counts are 0.

    Returns:
        With `per_task=1` exactly `PER_PICTURE` questions, in the order of `TASKS`.
    """
    drawn = (
        question for task in TASKS for _ in range(per_task) for question in _draw(task, scene, rng)
    )
    return list(dict.fromkeys(drawn))


def answerable(scene: Scene) -> bool:
    """Whether the scene supports all five tasks."""
    enough = scene.shapes and len(scene.plates) >= READ_PER_PICTURE
    return bool(enough and _locatable(scene) and _comparable(scene))


def _draw(task: Task, scene: Scene, rng: Random) -> list[Question]:
    if task == "read":
        return [_read(plate) for plate in rng.sample(scene.plates, READ_PER_PICTURE)]
    return [_DRAW[task](scene, rng)]


def _read(plate: Plate) -> Question:
    text = f"What is written on the {plate.color} plate?"
    mention = _mention(text, f"{plate.color} plate", [plate.box])
    spelled = tuple(glyph.box for glyph in plate.glyphs)
    return Question("read", text, plate.text, (mention,), spelled)


def _count(scene: Scene, rng: Random) -> Question:
    present = Counter(shape.kind for shape in scene.shapes)
    weights = [_COUNT_WEIGHTS[present[kind]] for kind in KINDS]
    (kind,) = rng.choices(KINDS, weights)
    text = f"How many {PLURALS[kind]} are there?"
    alike = [shape.box for shape in scene.shapes if shape.kind == kind]
    mention = _mention(text, PLURALS[kind], alike)
    return Question("count", text, str(present[kind]), (mention,))


def _locate(scene: Scene, rng: Random) -> Question:
    name, box = rng.choice(_locatable(scene))
    x, y = center(box)
    row = "top" if y < scene.height / 2 else "bottom"
    column = "left" if x < scene.width / 2 else "right"
    text = f"Where is the {name}?"
    return Question("locate", text, f"{row} {column}", (_mention(text, name, [box]),))


def _compare(scene: Scene, rng: Random) -> Question:
    by_wording = _comparable(scene)
    wording = rng.choice(list(by_wording))
    answer, other = rng.choice(by_wording[wording])
    first, second = rng.sample((answer, other), 2)
    text = f"Which plate {wording}, the {first.color} or the {second.color} one?"
    mentions = tuple(_mention(text, f"the {x.color}", [x.box]) for x in (first, second))
    return Question("compare", text, answer.color, mentions)


def _coarse(scene: Scene, rng: Random) -> Question:
    sides = sorted((shape.box[2] - shape.box[0] for shape in scene.shapes), reverse=True)
    if len(sides) > 1 and sides[0] >= SIZE_RATIO * sides[1] and rng.random() < 0.5:
        largest = max(scene.shapes, key=lambda shape: shape.box[2] - shape.box[0])
        text = "What colour is the largest shape?"
        mention = _mention(text, "largest shape", [largest.box])
        return Question("coarse", text, largest.color, (mention,))
    present = {(shape.color, shape.kind) for shape in scene.shapes}
    if rng.random() < 0.5:
        answer, (color, kind) = "yes", rng.choice(sorted(present))
    else:
        absent = [(color, kind) for color in COLORS for kind in KINDS]
        absent = [pair for pair in absent if pair not in present]
        colors, kinds = {color for color, _ in present}, {kind for _, kind in present}
        # A colour that is there, on another shape, has to be told apart by looking closely.
        near = [(color, kind) for color, kind in absent if color in colors or kind in kinds]
        answer, (color, kind) = "no", rng.choice(near)
    article = "an" if color == "orange" else "a"
    text = f"Is there {article} {color} {kind}?"
    alike = [shape.box for shape in scene.shapes if (shape.color, shape.kind) == (color, kind)]
    return Question("coarse", text, answer, (_mention(text, f"{color} {kind}", alike),))


def _mention(text: str, words: str, boxes: Iterable[Box]) -> Mention:
    return Mention(text.index(words) + len(words), tuple(boxes))


_DRAW: dict[Task, Callable[[Scene, Random], Question]] = {
    "count": _count,
    "locate": _locate,
    "compare": _compare,
    "coarse": _coarse,
}


def _locatable(scene: Scene) -> list[tuple[str, Box]]:
    """Objects that one name fits and that lie clearly in one quadrant."""
    alike = Counter((shape.color, shape.kind) for shape in scene.shapes)
    named = [(f"{plate.color} plate", plate.box) for plate in scene.plates]
    named += [
        (f"{shape.color} {shape.kind}", shape.box)
        for shape in scene.shapes
        if alike[shape.color, shape.kind] == 1
    ]
    return [(name, box) for name, box in named if _clear_of_middle(scene, box)]


def _clear_of_middle(scene: Scene, box: Box) -> bool:
    x, y = center(box)
    return (
        abs(x / scene.width - 0.5) >= CLEARANCE / 2 and abs(y / scene.height - 0.5) >= CLEARANCE / 2
    )


def _comparable(scene: Scene) -> dict[str, list[tuple[Plate, Plate]]]:
    """By wording, the pairs (answer, other) of plates that differ clearly."""
    pairs = [(one, other) for one in scene.plates for other in scene.plates]
    # Keys: the wording. Values: by how much the first plate wins, 1 where it is just clear.
    margins: dict[str, Callable[[Plate, Plate], float]] = {
        "is higher up": lambda one, other: (
            (center(other.box)[1] - center(one.box)[1]) / (CLEARANCE * scene.height)
        ),
        "is further left": lambda one, other: (
            (center(other.box)[0] - center(one.box)[0]) / (CLEARANCE * scene.width)
        ),
        "has the longer code": lambda one, other: len(one.text) - len(other.text),
    }
    clear = {
        wording: [(one, other) for one, other in pairs if margin(one, other) >= 1]
        for wording, margin in margins.items()
    }
    return {wording: found for wording, found in clear.items() if found}
