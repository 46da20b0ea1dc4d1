"""Counting: what number a text says, if it says one."""

from __future__ import annotations

import pytest

from tierexp.data.scores.count import count, read_count

WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
]  # fmt: skip


def test_words_to_twenty() -> None:
    assert [read_count(word) for word in WORDS] == list(range(21))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("007", 7),
        ("Three.", 3),
        ("none", 0),
        ("thirty", 30),
        ("twenty-one", 21),
        ("Ninety nine", 99),
        ("forty-two apples", 42),
        ("1,250", 1250),
        ("12,345,678", 12345678),
        ("3.0", 3),
        ("There are 3 dogs.", 3),
        ("There are three (3) dogs", 3),
        ("**4**", 4),
        # No number, or not one whole number that stands alone.
        ("", None),
        ("many", None),
        ("no", None),
        ("someone", None),
        ("3.5", None),
        ("-3", None),
        ("3rd", None),
        ("2-3", None),
        ("1,25", None),
        ("50%", None),
        ("9" * 5000, None),
        # Two numbers.
        ("3 or 4", None),
        ("three of five", None),
        ("two three", None),
        ("twenty thirty", None),
        # Words that make another number of the one beside them.
        ("two hundred", None),
        ("3 dozen", None),
        ("one and a half", None),
        ("two thousands", None),
    ],
)
def test_texts(text: str, number: int | None) -> None:
    assert read_count(text) == number


@pytest.mark.parametrize(
    ("prediction", "answers", "right"),
    [
        ("3", ["three"], True),
        ("three", ["3"], True),
        ("Three dogs", ["2", "3"], True),
        ("none", ["0"], True),
        ("4", ["2", "3"], False),
        ("13", ["3"], False),
        ("3 or 4", ["3"], False),
        ("many", ["3"], False),
        ("", ["0"], False),
        ("1,000", ["1000"], True),
    ],
)
def test_scores(prediction: str, answers: list[str], right: bool) -> None:
    assert count(prediction, answers) == float(right)


def test_answers_must_be_counts() -> None:
    with pytest.raises(ValueError, match="one whole number each"):
        count("3", ["3", "many"])
