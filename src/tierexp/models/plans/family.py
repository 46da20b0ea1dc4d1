"""A model family, as its folder says what it is: one `Family` a folder.

In: values that stand in `models/<family>/geometry.py`, or in a module of one's own. Out: how it
cuts images, and who answers for it. Imports neither torch nor `transformers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.models.plans.plan import Preset

_FROM_LIBRARY = "transformers"
"""The option of `conf/model` for families that the library's own classes answer for."""


@dataclass(frozen=True)
class LibraryClasses:
    """What a family is to `transformers`, whose own classes answer for it.

    Args:
        processor: Name of the class.
        image_token: Key of the placeholder's id in `config.json`.
        network: Name of the class that reads the weights.
    """

    processor: str
    image_token: str = "image_token_id"
    network: str = "AutoModelForImageTextToText"


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        presets: Its rule for images under settings that people run, at least one.
        model_type: Of its checkpoints' `config.json`; None where none is read here.
        library: What `transformers` calls it; None where the family has code of its own, or does
            not answer.
        own_option: Of `conf/model`, which reads any folder of a family with code of its own.
        answers_as: Name of the preset by which a folder is read where nothing else is said; None
            for the first.

    Raises:
        ValueError: No preset, or `answers_as` is none of them.
    """

    presets: tuple[Preset, ...]
    model_type: str | None = None
    library: LibraryClasses | None = None
    own_option: str | None = None
    answers_as: str | None = None

    def __post_init__(self) -> None:
        names = [preset.family for preset in self.presets]
        if not names or self.answers_as not in (None, *names):
            raise ValueError(f"a family with presets {names} cannot answer as {self.answers_as}")

    @property
    def preset(self) -> Preset:
        """The one by which a folder is read where nothing else is said."""
        named = (preset for preset in self.presets if preset.family == self.answers_as)
        return next(named, self.presets[0])

    @property
    def option(self) -> str | None:
        """Of `conf/model`, which reads any folder of the family; None where nobody answers."""
        return self.own_option if self.library is None else _FROM_LIBRARY
