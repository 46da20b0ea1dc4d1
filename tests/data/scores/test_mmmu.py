"""MMMU's open questions: what the official reader makes of replies, worked out by hand."""

from __future__ import annotations

import pytest

from tierexp.data.scores.mmmu import is_parsed, mmmu, open_answer


@pytest.mark.parametrize(
    ("prediction", "answer", "right"),
    [
        # Numbers to two decimals, wherever they stand.
        ("3.43", "3.429", True),
        ("3.4", "3.429", False),
        ("$8.75", "8.75", True),
        ("The price is $8.75.", "8.75", True),
        ("1,000", "1000", True),
        ("1000", "1,000", True),
        ("1,000.5", "1000.5", True),
        ("100%", "100%", True),
        ("100%", "100", True),
        ("-5", "5", False),
        ("\u22125", "-5", True),
        ("2e3", "2000", True),
        ("x = 3 + 4 = 7", "7", True),
        ("x = 3 + 4 = 7", "3", False),
        ("5.2cm", "5.2", True),
        # Only the end of a line counts, behind the last word before an answer.
        ("There are 4 sides, so the answer is 6", "6", True),
        ("There are 4 sides, so the answer is 6", "4", False),
        ("First 4 is found.\nThe result is 6", "6", True),
        ("First it is 4\nThe result is 6", "4", True),
        # A text that holds the answer's.
        ("It could be the left-handed one", "left-handed", True),
        ("LEFT", "left", True),
        ("left", "the left one", False),
        # A letter beside a blank, not in a word.
        ("the value x is", "x", True),
        ("box", "x", False),
        ("x", "x", True),
        # Nothing is never right.
        ("", "6", False),
        (".", "6", False),
        ("is ", "6", False),
        ("six", "", False),
    ],
)
def test_open_questions(prediction: str, answer: str, right: bool) -> None:
    assert open_answer(prediction, [answer]) == float(right)
    assert mmmu(prediction, [answer]) == float(right)


def test_any_of_several_answers() -> None:
    assert open_answer("six", ["6", "six"]) == 1.0
    assert open_answer("6.0", ["6", "six"]) == 1.0
    assert open_answer("7", ["6", "six"]) == 0.0


def test_questions_with_options_are_read_by_letter() -> None:
    options = ["$6", "$7's", "$8"]
    assert mmmu("The answer is B.", ["B", "$7's"], options) == 1.0
    assert mmmu("B is wrong, so C.", ["B", "$7's"], options) == 0.0
    assert mmmu("It cannot be told", ["B", "$7's"], options) == 0.0
    assert not is_parsed("It cannot be told", ["B"], options)
    assert is_parsed("It cannot be told", ["6"])
