"""How a question is put: Molmo's style prefixes, and options listed one a line.

In: a question, its options, a hint. Out: the text between ` User: ` and ` Assistant:`, as the data
formatter of the released Molmo checkpoints (0924) has it: `STYLE: QUESTION`, and below the question
of a multiple choice `A: TEXT` lines, or the texts alone where they are letters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from tierexp.config import checks
from tierexp.data.hub.answers import lettered
from tierexp.errors import ConfigError

_LISTED = re.compile(r"^A[.:)] ", re.MULTILINE)
"""A question whose text lists its options already."""


@dataclass(frozen=True)
class Prompt:
    """Style prefixes (`vqa2`, `a_okvqa_mc`, ...); None puts none.

    Args:
        open: Of questions without options.
        choice: Of those with options.
        unlettered: Of those whose options are letters themselves.
        drop: Texts to be left out of questions: instructions that a style stands for.
    """

    open: str | None = None
    choice: str | None = None
    unlettered: str | None = None
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
            if key != "drop" and value is not None:
                checks.text(f"data.prompt.{key}", value)
        drop = mapping.get("drop", ())
        if not isinstance(drop, list | tuple) or not all(isinstance(t, str) and t for t in drop):
            raise ConfigError("data.prompt.drop", drop, "a list of texts, or []")
        return cls(**{**{str(key): value for key, value in mapping.items()}, "drop": tuple(drop)})

    def put(self, question: str, options: Sequence[str] = (), hint: str = "") -> str:
        """The text that is put to the model.

        Args:
            question: As published.
            options: As published; empty where there are none, or where the question lists them.
            hint: A text to be read before the question.

        Raises:
            ValueError: More options than letters.
        """
        for text in self.drop:
            question = question.replace(text, "")
        question = question.strip()
        listed = bool(options) or _LISTED.search(question) is not None
        style = (self.choice or self.open) if listed else self.open
        if hint.strip():
            question = f"{hint.strip()}\n{question}"
        if options:
            if lettered(options):
                if len(options) > len(string.ascii_uppercase):
                    raise ValueError(f"at most {len(string.ascii_uppercase)} options")
                lines = [f"{a}: {b}" for a, b in zip(string.ascii_uppercase, options, strict=False)]
            else:
                style, lines = self.unlettered, list(options)
            question = "\n".join([question, *lines, ""])
        return question if style is None else f"{style}: {question}"
