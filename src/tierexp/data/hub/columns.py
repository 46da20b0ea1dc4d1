"""Which column of a data set holds what, as a config file says it.

In: the mapping `data.columns`. Out: the same, checked, and checked against the columns there are.
Knows nothing about what is in them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from tierexp.config import checks
from tierexp.errors import ConfigError, DataError


@dataclass(frozen=True)
class Columns:
    """Names of columns; None where a data set has none of the kind.

    Args:
        question: The question's text.
        answers: Every accepted answer, in any of the forms `tierexp.data.hub.answers` reads.
        image: The image file, as bytes or as `{bytes, path}`.
        id: Unique for every row; without it, samples are called by split and row number.
        image_id: Equal for rows about the same image; without it, images are told apart by content.
        task: What a question tests, for accuracies per task.
        options: The options of a multiple choice.
        hint: A text to be read before the question.
    """

    question: str
    answers: str
    image: str
    id: str | None = None
    image_id: str | None = None
    task: str | None = None
    options: str | None = None
    hint: str | None = None

    @classmethod
    def from_config(cls, mapping: object) -> Columns:
        """Check what a config file says.

        Args:
            mapping: The value of `data.columns`.

        Raises:
            ConfigError: No mapping, an unknown or missing key, or a name that is no text.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(mapping, Mapping):
            raise ConfigError("data.columns", mapping, f"a mapping of {', '.join(known)}")
        for key, name in mapping.items():
            if key not in known:
                allowed = f"no such key; the keys of data.columns are {', '.join(known)}"
                raise ConfigError(f"data.columns.{key}", name, allowed)
            if name is not None or key in known[:3]:
                checks.text(f"data.columns.{key}", name)
        for key in known[:3]:
            if key not in mapping:
                raise ConfigError(f"data.columns.{key}", None, "the name of a column")
        return cls(**{str(key): name for key, name in mapping.items()})

    def named(self) -> dict[str, str]:
        """Key to column, for those that have one."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: name for key, name in names.items() if name is not None}

    def check(self, there: Collection[str], where: str) -> None:
        """Refuse columns that are not there.

        Args:
            there: The columns of the data.
            where: The data, for the message.

        Raises:
            DataError: One is missing.
        """
        for key, name in self.named().items():
            if name not in there:
                found = ", ".join(sorted(there))
                raise DataError(
                    f"{where}: no column {name!r} (data.columns.{key}); there are {found}"
                )
