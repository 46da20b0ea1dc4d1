"""Answers and options in the forms that published data sets have them in.

In: the cell of a column. Out: texts. Knows nothing about scores.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Mapping, Sequence
from typing import Literal

from tierexp.data.scores.multiple_choice import option_letter

_NO_OPTION = "{}"
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


def places_of(cell: object, options: Sequence[str], kind: AnswerKind) -> list[int]:
    """The places, counted from 0, of the options that are right.

    Args:
        cell: Cell of the column of answers.
        options: Options of the question, at least one.
        kind: What the cell holds.

    Raises:
        ValueError: No answers, or one that is none of the options; the message says what is
            expected.
    """
    return [_place(answer.strip(), options, kind) for answer in answers_of(cell)]


def answers_of(cell: object) -> list[str]:
    """Every answer of a cell.

    Raises:
        ValueError: There is none.
    """
    answers = texts_of(cell)
    if not any(answer.strip() for answer in answers):
        raise ValueError("an answer; splits whose answers are withheld cannot be scored")
    return answers


def answers_of_choice(
    places: Sequence[int], options: Sequence[str], with_letters: bool
) -> tuple[str, ...]:
    """What is accepted of a multiple choice: the right option's letter and its text. A text that is
    a letter itself is left out beside the letter, since it would name another option.

    Args:
        places: Places of the right options.
        options: Options of the question, as they are listed.
        with_letters: Whether they are listed with letters; without, a text stands alone.
    """
    named: list[str] = []
    for place in places:
        text = options[place].strip()
        if with_letters:
            named.append(string.ascii_uppercase[place])
            if not text or option_letter(text) is not None:
                continue
        named.append(text)
    return tuple(named)


def pruned(options: Sequence[str], right: Sequence[int]) -> tuple[list[str], list[int]]:
    """Options without those that Molmo's reader of AI2D leaves out: `{}`, and what an earlier
    option says already; and the places that the right ones have then.

    Args:
        options: As published.
        right: Places of the right ones.

    Raises:
        ValueError: `{}` is right.
    """
    if any(options[place] == _NO_OPTION for place in right):
        raise ValueError(f"an option that says something, not {_NO_OPTION}")
    kept = [option for option in dict.fromkeys(options) if option != _NO_OPTION]
    return kept, [kept.index(options[place]) for place in right]


def mostly_letters(options: Sequence[str]) -> bool:
    """Whether all options, or all but one, are letters, as on a labelled diagram."""
    letters = sum(option_letter(option) is not None for option in options)
    return letters > 0 and letters >= len(options) - 1


def upper_letters(options: Sequence[str]) -> list[str]:
    """Options with those that are letters as capitals."""
    return [option.upper() if option_letter(option) else option for option in options]


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
