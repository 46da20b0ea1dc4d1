"""Answers and options in the forms that published data sets have them in.

In: the cell of a column. Out: texts. Knows nothing about scores.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Mapping, Sequence
from typing import Literal

from tierexp.scores.multiple_choice import option_letter

AnswerKind = Literal["text", "index", "letter"]
"""What an answer is where there are options: its text, its place counted from 0, or its letter."""


def texts_of(cell: object) -> list[str]:
    """The texts of a cell: a text or number, a list of them, dictionaries with the key `answer`
    (VQA's annotations), or a list written as the text of a Python literal (`"['a', 'b']"`).

    Args:
        cell: As `datasets` gives it; None and an empty list hold none.

    Raises:
        ValueError: Another form.
    """
    if cell is None:
        return []
    if isinstance(cell, str):
        return _written_list(cell) if cell.lstrip().startswith("[") else [cell]
    if isinstance(cell, Mapping) and "answer" in cell:
        return texts_of(cell["answer"])
    if isinstance(cell, list):
        return [
            text for item in cell for text in ([item] if isinstance(item, str) else texts_of(item))
        ]
    if isinstance(cell, int | float):
        whole = isinstance(cell, float) and cell.is_integer()
        return [str(int(cell) if whole else cell)]
    raise ValueError("a text, a number, a list of them, or {answer: ...}")


def answers_of(cell: object, options: Sequence[str], kind: AnswerKind) -> tuple[str, ...]:
    """Every accepted answer of a question.

    Of a multiple choice these are the right option's letter and its text, or the text alone where
    the options are letters themselves, as on a labelled diagram (`lettered`).

    Args:
        cell: Of the column of answers.
        options: Of the question; empty where it is no multiple choice.
        kind: What the cell holds where there are options.

    Raises:
        ValueError: No answers, or one that is none of the options; the message says what is
            expected.
    """
    answers = texts_of(cell)
    if not any(answer.strip() for answer in answers):
        raise ValueError("an answer; splits whose answers are withheld cannot be scored")
    if not options:
        return tuple(answers)
    right = [_place(answer.strip(), options, kind) for answer in answers]
    letters = string.ascii_uppercase if lettered(options) else [""] * len(options)
    named = [name for place in right for name in (letters[place], options[place].strip())]
    return tuple(name for name in named if name)


def lettered(options: Sequence[str]) -> bool:
    """Whether options can be given letters: not where a text is a letter, since an answer `B` would
    then name two of them.
    """
    return not any(option_letter(option) for option in options)


def _place(answer: str, options: Sequence[str], kind: AnswerKind) -> int:
    if kind == "text":
        places = [place for place, option in enumerate(options) if option.strip() == answer]
        if places:
            return places[0]
        raise ValueError(f"the text of one of the {len(options)} options")
    if kind == "letter":
        place = string.ascii_uppercase.find(answer.upper()) if len(answer) == 1 else -1
    else:
        place = int(answer) if answer.isascii() and answer.isdigit() else -1
    if not 0 <= place < len(options):
        what = "letter" if kind == "letter" else "place, from 0 on,"
        raise ValueError(f"the {what} of one of the {len(options)} options")
    return place


def _written_list(text: str) -> list[str]:
    """The texts of a list that is written out; any other text as it is."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return [text]
    plain = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
    return [str(item) for item in value] if plain else [text]
