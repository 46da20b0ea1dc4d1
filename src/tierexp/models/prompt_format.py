"""What a question consists of, and how a family of models is asked it.

In: a question, its options and the style that its data set names. Out: the text that stands between
the user's and the assistant's mark. A data set holds the parts; a family renders them as it was
trained (`ModelSource.prompt_format`).
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Listing = Literal["lettered", "unlettered", "in_text"]
"""How options are listed: after letters; as they are, where they are letters on a diagram; or by
the text of the question itself.
"""


@dataclass(frozen=True)
class QuestionParts:
    """One question.

    Args:
        text: As published, every blank of it.
        options: Options of a multiple choice; none of an open question, at most 26 with letters.
        listing: How the options are listed.
        style: What Molmo's training data calls such questions (`vqa2`, `a_okvqa_mc`, ...); None
            where it knows none.

    Raises:
        ValueError: More options than letters.
    """

    text: str
    options: tuple[str, ...] = ()
    listing: Listing = "lettered"
    style: str | None = None

    def __post_init__(self) -> None:
        if self.listing == "lettered" and len(self.options) > len(string.ascii_uppercase):
            raise ValueError(f"at most {len(string.ascii_uppercase)} options")

    @property
    def listed(self) -> list[str]:
        """The lines of options that are still to be listed, without letters."""
        return [] if self.listing == "in_text" else list(self.options)

    def lettered(self, mark: str) -> list[str]:
        """The lines of options: `A: cat` where the mark is a colon, or as they are without letters.

        Args:
            mark: Between a letter and its option.
        """
        if self.listing != "lettered":
            return self.listed
        letters = string.ascii_uppercase
        return [f"{a}{mark} {option}" for a, option in zip(letters, self.options, strict=False)]


PromptFormat = Callable[[QuestionParts], str]
"""A family's text of a question."""


def plain_prompt(question: QuestionParts) -> str:
    """A question as anyone would put it: options as `A. cat` lines below it, no style.

    Args:
        question: The parts.
    """
    return "\n".join([question.text, *question.lettered(".")])
