"""What is asked, as a config file says it: styles, and what a question lists itself.

In: a question, its options, a hint, as published. Out: the parts of a prompt, which the model's
family puts into words (`tierexp.models.prompt_format`). What a data set is asked follows Molmo's
own reader of it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from tierexp.config import checks
from tierexp.data.hub.answers import mostly_letters, upper_letters
from tierexp.errors import ConfigError
from tierexp.models.prompt_format import QuestionParts

_OPTION_LINE = re.compile(r"^\(?([A-Z])[.:)]\s+(.*\S)\s*$", re.MULTILINE)
"""An option that a question's text lists itself."""


@dataclass(frozen=True)
class Prompt:
    """Styles of Molmo's training data (`vqa2`, `a_okvqa_mc`, ...); None puts none.

    Args:
        open: Style of questions without options.
        choice: Style of those with options; None takes that of open questions.
        unlettered: Style of those whose options are letters on a diagram, all of them or all
            but one: they are listed without letters of their own, as capitals. None gives every
            option a letter, whatever it says.
        first_line: Whether open questions end with their first line.
        drop: Texts to be left out of questions: instructions that a style stands for.
    """

    open: str | None = None
    choice: str | None = None
    unlettered: str | None = None
    first_line: bool = False
    drop: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, mapping: object) -> Prompt:
        """Check what a config file says.

        Args:
            mapping: The value of `data.prompt`.

        Raises:
            ConfigError: No mapping, an unknown key, or a value that is no text.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(mapping, Mapping):
            raise ConfigError("data.prompt", mapping, f"a mapping of {', '.join(known)}")
        for key, value in mapping.items():
            if key not in known:
                allowed = f"no such key; the keys of data.prompt are {', '.join(known)}"
                raise ConfigError(f"data.prompt.{key}", value, allowed)
            if key == "first_line":
                checks.flag(f"data.prompt.{key}", value)
            elif key != "drop" and value is not None:
                checks.text(f"data.prompt.{key}", value)
        drop = mapping.get("drop", ())
        if not isinstance(drop, list | tuple) or not all(isinstance(t, str) and t for t in drop):
            raise ConfigError("data.prompt.drop", drop, "a list of texts, or []")
        return cls(**{**{str(key): value for key, value in mapping.items()}, "drop": tuple(drop)})

    def parts(self, question: str, options: Sequence[str] = (), hint: str = "") -> QuestionParts:
        """What the model is asked.

        Args:
            question: As published, every blank of it.
            options: As published; empty where there are none, or where the question lists them.
            hint: A text to be read before the question.

        Raises:
            ValueError: More options than letters.
        """
        for dropped in self.drop:
            question = question.replace(dropped, "")
        text = f"{hint}\n{question}" if hint else question
        style = self.choice or self.open
        if options and self.unlettered is not None and mostly_letters(options):
            capitals = tuple(upper_letters(options))
            return QuestionParts(text, capitals, "unlettered", self.unlettered)
        if options:
            return QuestionParts(text, tuple(options), "lettered", style)
        if listed := options_in(question):
            return QuestionParts(text, listed, "in_text", style)
        if self.first_line:
            text = text.split("\n")[0]
        return QuestionParts(text, style=self.open)


def options_in(question: str) -> tuple[str, ...]:
    """The options that a question lists on lines of its own, `A. a cat` and so on in order; none
    where there are fewer than two.

    Args:
        question: As published.
    """
    options: list[str] = []
    for letter, option in _OPTION_LINE.findall(question):
        if letter == string.ascii_uppercase[len(options)]:
            options.append(option)
    return tuple(options) if len(options) > 1 else ()
