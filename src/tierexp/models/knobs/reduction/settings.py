"""The knob `reduction`: how many of an image's vision tokens are kept, and by which method.

In: values of the group `reduction`. Out: frozen settings, checked against a model and a data set.
Imports no torch; what is impossible is refused in one line. The methods are modules beside this
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import MAX_SEED, choice, number, whole_number
from tierexp.errors import ConfigError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.tiers.files import load_tier

Method = Literal[
    "none", "random", "stride", "pool", "cls_attention", "vision_zip", "merge", "diverse", "text",
    "fastv",
]  # fmt: skip
METHODS: tuple[Method, ...] = get_args(Method)
OF_CLASS_TOKEN: tuple[Method, ...] = ("cls_attention", "vision_zip")
"""Methods that go by what the encoder's class token attends to."""
From = Literal["last", "all"]
"""Whose attention counts: that of the prompt's last token, or of all tokens."""
AMOUNTS = ("keep", "tokens", "match")
"""Ways to say how many tokens are kept."""
Sizes = Callable[[], Iterable[tuple[int, int]]]
"""Gives (height, width) of images; asked only where they matter."""


@dataclass(frozen=True)
class Reduction:
    """How many vision tokens are kept; a subclass says which. One of the three is given.

    Args:
        keep: Fraction of an image's tokens that is kept, in (0, 1], rounded half up, at least one.
        tokens: So many of every image.
        match: The name of a tier: as many tokens of every image as that tier has on average over
            the images of the data set, rounded.

    Raises:
        ConfigError: None of them is given, or several, or one that cannot be.
    """

    method: ClassVar[Method]

    keep: float | None = None
    tokens: int | None = None
    match: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in AMOUNTS if getattr(self, name) is not None]
        if len(given) != 1:
            ways = "reduction.keep=0.5, reduction.tokens=357 or reduction.match=low"
            allowed = f"exactly one of {ways}, there is {' and '.join(given) or 'none'}"
            raise ConfigError("reduction", self.method, allowed)
        if (self.keep is not None and number("reduction.keep", self.keep, 0) > 1) or self.keep == 0:
            raise ConfigError("reduction.keep", self.keep, "a number above 0, at most 1")
        if self.tokens is not None:
            whole_number("reduction.tokens", self.tokens, 1)
        if self.match is not None:
            load_tier(self.match, key="reduction.match")

    @property
    def label(self) -> str:
        """Its name in charts and tables: `fastv 357`, `merge 50 %`, `random as low`."""
        if self.keep is not None:
            return f"{self.method} {100 * self.keep:g} %"
        return f"{self.method} {self.tokens or f'as {self.match}'}"

    @property
    def written(self) -> str:
        """As a point of a policy names it: `diverse:357`, `merge:50%`, `fastv:357,block=3`."""
        amount = (
            f"{100 * self.keep:g}%" if self.keep is not None else f"{self.tokens or self.match}"
        )
        others = [field for field in fields(self) if field.name not in AMOUNTS]
        changed = [f for f in others if getattr(self, f.name) != f.default]
        return ",".join(
            [f"{self.method}:{amount}", *(f"{f.name}={getattr(self, f.name)}" for f in changed)]
        )

    def count(self, num_tokens: int) -> int:
        """How many of an image's tokens are kept.

        Raises:
            ConfigError: More than there are.
            ValueError: `match` has not been settled (`settled`).
        """
        if self.keep is not None:
            return max(1, int(self.keep * num_tokens + 0.5))
        if self.tokens is None:
            raise ValueError("the mean of a tier is known once the images are")
        if self.tokens > num_tokens:
            allowed = f"at most {num_tokens}: an image has no more vision tokens at this tier"
            raise ConfigError("reduction.tokens", self.tokens, allowed)
        return self.tokens

    def settled(self, sizes: Sizes, preprocessing: Preprocessing) -> Reduction:
        """The same with `match` turned into `tokens`, checked against every image.

        Args:
            sizes: Gives (height, width) of the image of every sample.
            preprocessing: Preprocessing of the run.

        Raises:
            ConfigError: More tokens are asked for than an image has.
        """
        if self.keep is not None:
            return self
        every = list(sizes())
        tokens = _llm_tokens(every, preprocessing)
        if not len(tokens):
            return self
        settled = self
        if self.match is not None:
            tier = replace(preprocessing, tier=load_tier(self.match))
            mean = float(np.mean(_llm_tokens(every, tier)))
            settled = replace(self, match=None, tokens=int(mean + 0.5))
        fewest = int(tokens.min())
        if settled.tokens is not None and settled.tokens > fewest:
            key = "tokens" if self.match is None else "match"
            mean_text = "" if self.match is None else f", and {self.match} has {settled.tokens}"
            allowed = f"at most {fewest} tokens: an image has no more at this tier{mean_text}"
            raise ConfigError(f"reduction.{key}", getattr(self, key), allowed)
        return settled

    def check(self, method_names: Iterable[str], model: str, num_active_blocks: int) -> None:  # noqa: ARG002
        """Refuse a method that a model cannot serve.

        Args:
            method_names: Names of the methods that it can.
            model: Its name.
            num_active_blocks: Decoder blocks that run.

        Raises:
            ConfigError: It is not one of them.
        """
        served = list(method_names)
        if self.method not in served:
            allowed = f"one of {', '.join(served)} for model={model}"
            raise ConfigError("reduction", self.method, allowed)


def with_reduction(source: Any, reduction: Reduction) -> Any:
    """A model's source with a method.

    Args:
        source: A `ModelSource`; a dataclass with a field `reduction`, where it serves any.
        reduction: The method.

    Raises:
        ConfigError: The model does not serve it.
    """
    if "reduction" in getattr(source, "__dataclass_fields__", {}):
        return replace(source, reduction=reduction)
    if reduction.method != "none":
        allowed = f"none: model={source.name} hands its vision tokens on in one step"
        raise ConfigError("reduction", reduction.method, allowed)
    return source


def _llm_tokens(sizes: list[tuple[int, int]], preprocessing: Preprocessing) -> NDArray[np.int64]:
    """(N,) vision tokens of every image; none of one that the model's processor does not take."""
    of_size = {}
    for size in set(sizes):
        selection = preprocessing.select(*size)
        taken = selection.tiling != (0, 0)
        of_size[size] = preprocessing.llm_vision_tokens(selection, size) if taken else None
    return np.array([of_size[size] for size in sizes if of_size[size] is not None], np.int64)


@dataclass(frozen=True)
class NoReduction(Reduction):
    """Every token is kept."""

    method: ClassVar[Method] = "none"

    def __post_init__(self) -> None:
        for name in AMOUNTS:
            if getattr(self, name) is not None:
                allowed = (
                    f"null with reduction=none; reduction=METHOD is one of {', '.join(METHODS[1:])}"
                )
                raise ConfigError(f"reduction.{name}", getattr(self, name), allowed)

    @property
    def label(self) -> str:
        """Its name in charts and tables."""
        return "none"

    def count(self, num_tokens: int) -> int:
        """All."""
        return num_tokens

    def settled(self, sizes: Sizes, preprocessing: Preprocessing) -> Reduction:  # noqa: ARG002
        """Nothing has to be known."""
        return self

    def check(self, method_names: Iterable[str], model: str, num_active_blocks: int) -> None:
        """Every model serves this."""


NO_REDUCTION = NoReduction()


@dataclass(frozen=True)
class RandomTokens(Reduction):
    """Any tokens (`random`).

    Args:
        seed: Seed of the draws; an image's also depends on its pixels.
    """

    method: ClassVar[Method] = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("reduction.seed", self.seed, 0, MAX_SEED)


@dataclass(frozen=True)
class StridedTokens(Reduction):
    """Every so manieth (`stride`)."""

    method: ClassVar[Method] = "stride"


@dataclass(frozen=True)
class PooledTokens(Reduction):
    """Averages of neighbours (`pool`)."""

    method: ClassVar[Method] = "pool"


@dataclass(frozen=True)
class ClassAttention(Reduction):
    """What the encoder's class token attends to (`cls_attention`)."""

    method: ClassVar[Method] = "cls_attention"


@dataclass(frozen=True)
class VisionZip(Reduction):
    """Dominant tokens, and contextual ones merged from the rest (`vision_zip`).

    Args:
        contextual: Fraction of the latter in those kept, in [0, 1).
    """

    method: ClassVar[Method] = "vision_zip"
    contextual: float = 10 / 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if number("reduction.contextual", self.contextual, 0) >= 1:
            raise ConfigError("reduction.contextual", self.contextual, "a number from 0, below 1")


@dataclass(frozen=True)
class MergedTokens(Reduction):
    """Similar tokens merged (`merge`)."""

    method: ClassVar[Method] = "merge"


@dataclass(frozen=True)
class DiverseTokens(Reduction):
    """Tokens as far apart as can be (`diverse`)."""

    method: ClassVar[Method] = "diverse"


@dataclass(frozen=True)
class DecoderReduction(Reduction):
    """What the decoder itself looks at stays.

    Args:
        block: So many of the blocks that run see every token; the others those that are kept.
    """

    block: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("reduction.block", self.block, 1)

    def check(self, method_names: Iterable[str], model: str, num_active_blocks: int) -> None:
        """Refuse a method that a model cannot serve, and a block after which none runs."""
        super().check(method_names, model, num_active_blocks)
        if self.block >= num_active_blocks:
            allowed = f"at most {num_active_blocks - 1}: {num_active_blocks} blocks run"
            raise ConfigError("reduction.block", self.block, allowed)


@dataclass(frozen=True)
class TextRelevance(DecoderReduction):
    """What the question's tokens attend to (`text`)."""

    method: ClassVar[Method] = "text"


@dataclass(frozen=True)
class FastV(DecoderReduction):
    """What receives attention (`fastv`).

    Args:
        received_from: Whose attention counts.
    """

    method: ClassVar[Method] = "fastv"
    received_from: From = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("reduction.received_from", self.received_from, get_args(From))


_OPTIONS: tuple[type[Reduction], ...] = (
    RandomTokens, StridedTokens, PooledTokens, ClassAttention, VisionZip, MergedTokens,
    DiverseTokens, TextRelevance, FastV,
)  # fmt: skip


def reduction_written(text: str) -> Reduction:
    """What `Reduction.written` names.

    Args:
        text: Such as `diverse:357`, `merge:50%` or `fastv:low,block=3`.

    Raises:
        ConfigError: It names none.
    """
    options = {option.method: option for option in _OPTIONS}
    called, *others = text.split(",")
    method, _, amount = called.partition(":")
    option = next((o for name, o in options.items() if name == method), None)
    allowed = f"METHOD:TOKENS such as diverse:357, the method one of {', '.join(options)}"
    if option is None or not amount:
        raise ConfigError("reduction", text, allowed)
    settings: dict[str, Any] = dict(other.partition("=")[::2] for other in others)
    defaults = {field.name: field.default for field in fields(option)}
    try:
        settings = {name: _like(defaults[name], value) for name, value in settings.items()}
        if amount.endswith("%"):
            return option(keep=float(amount[:-1]) / 100, **settings)
        if amount.isdecimal():
            return option(tokens=int(amount), **settings)
    except (KeyError, TypeError, ValueError):
        raise ConfigError("reduction", text, allowed) from None
    return option(match=amount, **settings)


def _like(default: object, text: str) -> object:
    """A setting of the kind of its default."""
    if isinstance(default, int | float):
        return type(default)(text)
    return text


def recorded_reduction(config: Mapping[str, Any] | None, label: object) -> Reduction:
    """The reduction of a run, from what its results say.

    Args:
        config: Its group `reduction`, resolved; None where results do not say.
        label: `Reduction.label`, as knobs record it; None for none.
    """
    if label in (None, "none"):
        return NO_REDUCTION
    method, _, amount = str(label).partition(" ")
    found = reduction_written(f"{method}:{amount.replace(' ', '')}")
    others = {k: v for k, v in (config or {}).items() if k not in (*AMOUNTS, "_target_")}
    return replace(found, **others)
