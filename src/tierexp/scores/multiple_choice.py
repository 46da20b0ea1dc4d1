"""Multiple choice: the letter of the right option, or its text.

As the rules that benchmarks try before they ask another model for the choice (MMBench, Liu et al.,
ECCV 2024): a letter that stands for itself, or an option's text word for word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tierexp.scores.exact_match import normalise_answer

_LEAD = re.compile(
    r"(?:(?:the|my|final|correct|right|best) )*(?:answer|option|choice)\b(?: is\b)?:? ?"
)
_LETTER = re.compile(r"\(([a-z])\)|([a-z])[.:)]?")
_LETTER_AND_TEXT = re.compile(r"(?:\(([a-z])\)[.:]?|([a-z])[.:)]) (.+)")


def multiple_choice(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction chooses what the answers name, else 0.0.

    A letter is chosen by `B`, `b.`, `(B)`, `B) a cat`, `The answer is B`. A single letter among
    the answers is the right option's, and then a chosen letter decides alone, whatever text follows
    it. A prediction without a letter must equal one of the answers once both are normalised as for
    an exact match: `A cat` is a text, not option A.

    Args:
        prediction: What the model said.
        answers: The right option's letter, its text, or both: a text is right only if it is among
            them.
    """
    letters, texts = set(), set()
    for answer in answers:
        named = option_letter(answer)
        if named is None:
            texts.add(normalise_answer(answer))
        else:
            letters.add(named)
    said = normalise_answer(prediction)
    if said and said in texts:
        return 1.0
    letter, text = _choice(said)
    if letter is not None and letters:
        return float(letter in letters)
    return float(bool(text) and text in texts)


def option_letter(text: str) -> str | None:
    """The letter, in lower case, that an answer is where it is nothing else: `B`, `b.`, `(B)`."""
    match = _LETTER.fullmatch(normalise_answer(text))
    return None if match is None else match[1] or match[2]


def _choice(said: str) -> tuple[str | None, str]:
    """The letter a normalised prediction chooses, if it does, and the text beside it."""
    while lead := _LEAD.match(said):
        said = said[lead.end() :]
    if match := _LETTER.fullmatch(said):
        return match[1] or match[2], ""
    if match := _LETTER_AND_TEXT.fullmatch(said):
        return match[1] or match[2], match[3]
    return None, said
