"""Counting accuracy: the number said is the number counted, in words or digits.

Acharya et al., "TallyQA" (AAAI 2019), section 5: the fraction of questions answered with exactly
the right number. Reading the number off a sentence is this file's own rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = (
    {word: number for number, word in enumerate(_SMALL)}
    | {word: 10 * number for number, word in enumerate(_TENS, start=2)}
    | {"none": 0}
)
_UNITS = _SMALL[1:10]
_MULTIPLES = {
    word + ending
    for word in ("hundred", "thousand", "million", "billion", "dozen", "half")
    for ending in ("", "s")
}
"""Words that make another number of the one beside them; what holds one is not read."""
# 15 digits are more than there are things to count, and few enough for int() to take.
_DIGITS = re.compile(r"([0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:\.0+)?")
_AROUND = ".,;:!?()[]\"'*"


def read_count(text: str) -> int | None:
    """The one number of a text; None where it holds none, or several that differ.

    Numbers are whole: words from zero (`none`) to ninety-nine, or digits, with or without
    thousands separators, that stand alone (not `3.5`, `-3`, `2-3`, `3rd`).

    Args:
        text: A number or a sentence.
    """
    numbers: list[int] = []
    before = ""
    for chunk in re.sub(r"(?<=ty)-(?=[a-z])", " ", text.lower()).split():
        word = chunk.strip(_AROUND)
        if word in _MULTIPLES:
            return None
        number = _whole_number(word)
        if number is not None:
            if before in _TENS and word in _UNITS:
                number += numbers.pop()
            numbers.append(number)
        before = word
    return numbers[0] if len(set(numbers)) == 1 else None


def count(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction's one number is that of any of the answers, else 0.0.

    Args:
        prediction: What the model said, a number or a sentence with one.
        answers: Every accepted count.

    Raises:
        ValueError: An answer is no count.
    """
    counts = [read_count(answer) for answer in answers]
    if None in counts:
        raise ValueError("answers with one whole number each, such as '3' or 'three'")
    said = read_count(prediction)
    return float(said is not None and said in counts)


def is_parsed(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> bool:
    """Whether a prediction says a number.

    Args:
        prediction: What the model said.
        answers: Not looked at.
        options: Not looked at.
    """
    del answers, options
    return read_count(prediction) is not None


def _whole_number(word: str) -> int | None:
    match = _DIGITS.fullmatch(word)
    if match is not None:
        return int(match[1].replace(",", ""))
    return _WORDS.get(word)
