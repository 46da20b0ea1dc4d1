"""Multiple choice: the letter of the right option, or its text.

What an answer chooses is read by `tierexp.data.scores.choice_reading`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tierexp.data.scores.choice_reading import LETTERS, read_letter, read_places
from tierexp.data.scores.exact_match import normalise_answer

__all__ = ["is_parsed", "multiple_choice", "option_letter", "read_letter"]

_LETTER = re.compile(r"\(([a-z])\)|([a-z])[.:)]?")
_LETTER_AND_TEXT = re.compile(r"(?:\([a-z]\)[.:]?|[a-z][.:)]) (.+)")


def multiple_choice(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> float:
    """1.0 where the prediction chooses what the answers name, else 0.0.

    With options, what `read_letter` reads decides. Without them a letter decides where the answers
    name one, whatever text follows it; a prediction without a letter must equal one of the answers
    once both are normalised as for an exact match: `A cat` is a text, not option A.

    Args:
        prediction: What the model said.
        answers: The right option's letter, its text, or both.
        options: The texts that A, B, ... stand for, where they are known.

    Raises:
        ValueError: With options, no answer is one of them.
    """
    if options:
        right = _places_named(answers, options)
        if not right:
            raise ValueError(f"the letter or the text of one of the {len(options)} options")
        return float(bool(read_places(prediction, options) & right))
    letters, texts = _letters_and_texts(answers)
    said = normalise_answer(prediction)
    if said and said in texts:
        return 1.0
    letter = read_letter(prediction)
    if letter is not None and letters:
        return float(letter in letters)
    beside = _LETTER_AND_TEXT.fullmatch(said)
    text = _after_lead(beside[1] if beside else said)
    return float(bool(text) and text in texts)


def is_parsed(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> bool:
    """Whether a prediction says what it chooses.

    Args:
        prediction: What the model said.
        answers: As for `multiple_choice`.
        options: As for `multiple_choice`; without them only a letter, or the text of an answer, is
            known to be a choice.
    """
    return bool(read_places(prediction, options)) or (
        not options and multiple_choice(prediction, answers) == 1.0
    )


def names_option(answers: Sequence[str], options: Sequence[str]) -> bool:
    """Whether answers name one of the options, by its letter or its text."""
    return bool(_places_named(answers, options))


def option_letter(text: str) -> str | None:
    """The capital that an answer is where it is nothing else: `B`, `b.`, `(B)`."""
    match = _LETTER.fullmatch(normalise_answer(text))
    return None if match is None else (match[1] or match[2]).upper()


def _places_named(answers: Sequence[str], options: Sequence[str]) -> frozenset[int]:
    """The places of the answers' letters, or of their texts where they name no letter."""
    letters, texts = _letters_and_texts(answers)
    named = frozenset(LETTERS.index(letter) for letter in letters) & set(range(len(options)))
    if not named:
        every = {*texts, *(letter.lower() for letter in letters)}
        named = frozenset(i for i, text in enumerate(options) if normalise_answer(text) in every)
    return named


def _letters_and_texts(answers: Sequence[str]) -> tuple[set[str], set[str]]:
    letters, texts = set(), set()
    for answer in answers:
        letter = option_letter(answer)
        if letter is None:
            texts.add(normalise_answer(answer))
        else:
            letters.add(letter)
    return letters, texts


_LEAD = re.compile(
    r"(?:(?:the|my|final|correct|right|best) )*(?:answer|option|choice)\b(?: is\b)?:? ?"
)


def _after_lead(said: str) -> str:
    """A normalised prediction without `the answer is` and its like before it."""
    while (lead := _LEAD.match(said)) and lead.end():
        said = said[lead.end() :]
    return said
