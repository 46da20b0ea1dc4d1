"""MMMU: options as in `multiple_choice`, open questions by the numbers and texts of a reply.

Yue et al., "MMMU" (CVPR 2024), section 4.1, and its evaluation code, whose rules for open questions
are followed: what counts is the end of each line, behind words such as "is" or "so"; a number is
right where it is the answer's to two decimals, a text where the answer's stands in it. Differences:
`1,000.5` is one number, U+2212 is a minus sign, and a choice is never drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tierexp.data.scores.multiple_choice import is_parsed as choice_is_parsed
from tierexp.data.scores.multiple_choice import multiple_choice

_BEFORE_ANSWERS = (
    "could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ",
)  # fmt: skip
_DECIMALS = 2
_MINUS = "\N{MINUS SIGN}"
_NOTHING = frozenset(":,.!?;'")
_WHOLE = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_INSIDE = re.compile(
    r"-?(?:\b\d{1,3}(?:,\d{3})+(?:\.\d+|\b)"
    r"|(?:\d+(?:\.\d+)?)[eE][+-]?\d{1,3}(?!\d)"
    r"|(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d)(?![,\d]))"
)


def mmmu(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> float:
    """1.0 where the prediction is right, else 0.0.

    Args:
        prediction: What the model said.
        answers: Those of `multiple_choice` where there are options, else every accepted text or
            number.
        options: The texts that A, B, ... stand for; none of an open question.
    """
    if options:
        return multiple_choice(prediction, answers, options)
    return open_answer(prediction, answers)


def is_parsed(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> bool:
    """Whether a prediction says what it chooses; an open question can be given any text.

    Args:
        prediction: What the model said.
        answers: As for `mmmu`.
        options: As for `mmmu`.
    """
    return not options or choice_is_parsed(prediction, answers, options)


def open_answer(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where what a prediction ends on holds any of the answers, else 0.0.

    `3.43` answers `3.429`, `$8.75` answers `8.75`, `1,000` answers `1000`, and `100%` either
    `100%` or `100`.

    Args:
        prediction: What the model said, a text or a sentence.
        answers: Every accepted answer.
    """
    ends = _ends(prediction.replace(_MINUS, "-"))
    read = [*ends, *(number for end in ends for number in _INSIDE.findall(end))]
    texts, numbers = _texts_and_numbers(read)
    right_texts, right_numbers = _texts_and_numbers(
        [answer.replace(_MINUS, "-") for answer in answers if answer.strip()]
    )
    return float(
        bool(numbers & right_numbers)
        or any(right in text for text in texts for right in right_texts)
    )


def _ends(prediction: str) -> list[str]:
    """What follows, in each line, the last of the words before answers, the shortest such end; the
    whole text where no line has one.
    """
    text = prediction.strip().strip(".").lower()
    lines = text.split("\n")
    ends = []
    for number, line in enumerate(lines, start=1):
        marks = _BEFORE_ANSWERS if number < len(lines) else (*_BEFORE_ANSWERS, "=")
        tails = [line.rpartition(mark)[2].strip() for mark in marks if mark in line]
        shortest = min((tail for tail in tails if tail), key=len, default="")
        if shortest and shortest not in _NOTHING:
            ends.append(shortest)
    return ends or [text]


def _texts_and_numbers(read: Sequence[str]) -> tuple[set[str], set[float]]:
    """Texts in lower case, and numbers to two decimals. A text of one letter is one only beside a
    blank, so that it is not found in every word.
    """
    texts: set[str] = set()
    numbers: set[float] = set()
    for item in map(str.strip, read):
        if _WHOLE.fullmatch(item.replace(",", "")):
            numbers.add(round(float(item.replace(",", "")), _DECIMALS))
        elif len(item) == 1:
            texts |= {f" {item.lower()}", f"{item.lower()} "}
        elif item:
            texts.add(item.lower())
    return texts, numbers
