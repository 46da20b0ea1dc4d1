"""A model family, as its folder says what it is: one `Family` a folder.

In: values that stand in `models/<family>/geometry.py`, or in a module of one's own. Out: how it
cuts images, and who answers for it. Imports neither torch nor `transformers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tierexp.models.knobs.reduction.settings import OF_CLASS_TOKEN, Method
from tierexp.models.plans.plan import Grid, Preset

VisionFlops = Callable[[Any, Sequence[Grid]], int | None]
_OF_TOKENS: tuple[Method, ...] = ("none", "random", "stride", "pool", "diverse")

_FROM_LIBRARY = "transformers"
"""The option of `conf/model` for families that the library's own classes answer for."""


def _unmerged(config: Any) -> int:  # noqa: ARG001
    return 1


@dataclass(frozen=True)
class LibraryClasses:
    """What a family is to `transformers`, whose own classes answer for it.

    Args:
        processor: Name of the class.
        image_token: Key of the placeholder's id in `config.json`.
        network: Name of the class that reads the weights.
        vision_flops: What encoding images and bringing them to the language model's width costs,
            from the model's configuration and the rows and columns of patches of every image that
            the encoder sees; None for a configuration of which it is not known. None where it is
            never known.
        merged_side: Patches along a side that become one vision token, from the configuration.
        marked_rows: Whether every row of tokens behind the first view ends in one that says so.
        class_token: From the network to the attention of the encoder whose class token
            `cls_attention` and `vision_zip` ask for, and the patches along a side of what it sees;
            None where the encoder has no class token.
    """

    processor: str
    image_token: str = "image_token_id"
    network: str = "AutoModelForImageTextToText"
    vision_flops: VisionFlops | None = None
    merged_side: Callable[[Any], int] = _unmerged
    marked_rows: bool = False
    class_token: Callable[[Any], tuple[Any, int]] | None = None

    @property
    def reductions(self) -> tuple[Method, ...]:
        """The methods of the group `reduction` that its models serve. The library's decoders hand
        out no attention weights from within, and respect no sizes of tokens in attention: `text`,
        `fastv` and `merge` have nothing to go by.
        """
        return _OF_TOKENS + (() if self.class_token is None else OF_CLASS_TOKEN)


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        presets: Its rule for images under settings that people run, at least one.
        model_type: What its checkpoints' `config.json` says; None where none is read here.
        library: What `transformers` calls it; None where the family has code of its own, or does
            not answer.
        own_option: The option of `conf/model` that reads any folder of a family with code of its
            own.
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
        """The option of `conf/model` that reads any folder of it; None where nobody answers."""
        return self.own_option if self.library is None else _FROM_LIBRARY
