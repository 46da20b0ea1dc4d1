"""The numbers of a training run, refused before anything heavy is loaded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierexp.config.checks import number, path, whole_number
from tierexp.data.loader_settings import MAX_BATCH_SIZE, MAX_WORKERS
from tierexp.errors import ConfigError
from tierexp.models.protocol import MAX_NEW_TOKENS


@dataclass(frozen=True)
class Phase:
    """Some of the steps, and what they are on.

    Args:
        steps: Optimiser steps.
        learning_rate: At its peak: it rises from 0 and falls to 0 along a cosine.
        crops_per_batch: Crops of a batch at most, global views included.
        tiers: Names of the tiers that images are cut for; none: crowded single crops, without
            questions and without the language model.
        shares: How often each of the tiers is drawn.
        questions_per_task: Questions put to an image, for each task.
        vision_rate: Learning rate of the vision part in units of `learning_rate`. Batches of a few
            images are too noisy for it at the rate the language model needs; at 0 it stays as it
            is, which saves its backward pass.
        background: The share of vision tokens without an object that prompts hold, at the start
            and at the end of the phase. Among hundreds of tokens that say nothing, attention
            finds the few that do only after it has met them nearly alone.
        rehearsed_crops: Crowded single crops beside the images of every batch. From a few mostly
            empty images alone, the vision part forgets the finest characters.
        varied_knobs: The share of batches that are answered with other experts per token, or
            without one of the blocks, so that both knobs can be turned later.
    """

    steps: int
    learning_rate: float
    crops_per_batch: int
    tiers: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    questions_per_task: int = 1
    vision_rate: float = 1.0
    background: tuple[float, float] = (1.0, 1.0)
    rehearsed_crops: int = 0
    varied_knobs: float = 0.0


_NEEDS_TIERS = (
    "questions_per_task",
    "vision_rate",
    "background",
    "rehearsed_crops",
    "varied_knobs",
)


@dataclass(frozen=True)
class Recipe:
    """How long, how fast, and on what.

    Args:
        phases: What is learned, one thing after the other: mappings of the fields of `Phase`.
        vision_from: A checkpoint folder whose vision backbone training starts with; None starts
            from random weights.
        warmup: Share of a phase in which the learning rate rises.
        matrix_rate: Learning rate of hidden matrices, which Muon updates, in units of the phase's,
            which AdamW has for everything else.
        weight_decay: Decay of matrices; vectors have none.
        gradient_clip: Norm to which gradients are clipped.
        dense_weight: Weight of the dense loss beside the answers'.
        lookup_weight: Weight of the loss that shows attention where to look.
        balance_weight: Weight of the loss that keeps experts evenly used.
        num_workers: Worker processes that make batches; 0 makes them in the main process.
        validation_questions: Questions that validation asks, per tier.
        validation_every: Steps between validations.
        validation_batch_size: Most samples of a validation batch.
        max_new_tokens: The longest answer that validation generates.
    """

    phases: tuple[Phase, ...]
    vision_from: str | None
    warmup: float
    matrix_rate: float
    weight_decay: float
    gradient_clip: float
    dense_weight: float
    lookup_weight: float
    balance_weight: float
    num_workers: int
    validation_questions: int
    validation_every: int
    validation_batch_size: int
    max_new_tokens: int

    @property
    def training_settings(self) -> dict[str, Any]:
        """What the weights depend on: everything but workers and validation."""
        return {
            name: list(value) if isinstance(value, list | tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if name not in ("num_workers", "max_new_tokens") and "validation" not in name
        }

    def __post_init__(self) -> None:
        for name, (minimum, maximum) in {
            "num_workers": (0, MAX_WORKERS),
            "validation_questions": (1, None),
            "validation_every": (1, None),
            "validation_batch_size": (1, MAX_BATCH_SIZE),
            "max_new_tokens": (1, MAX_NEW_TOKENS),
        }.items():
            whole_number(f"recipe.{name}", getattr(self, name), minimum, maximum)
        for name in (
            "warmup",
            "matrix_rate",
            "weight_decay",
            "gradient_clip",
            "dense_weight",
            "lookup_weight",
            "balance_weight",
        ):
            number(f"recipe.{name}", getattr(self, name), 0)
        if not 0 < self.warmup < 1:
            raise ConfigError("recipe.warmup", self.warmup, "a share between 0 and 1")
        given: object = self.phases  # mappings, as a YAML file holds them
        if not isinstance(given, Sequence) or not all(isinstance(x, Mapping) for x in given):
            raise ConfigError("recipe.phases", given, "a list of phases, {steps, ...}")
        phases = tuple(_phase(f"recipe.phases[{i}]", phase) for i, phase in enumerate(given))
        if not phases or not phases[-1].tiers:
            allowed = "phases, the last with tiers: the language model has to learn, too"
            raise ConfigError("recipe.phases", given, allowed)
        object.__setattr__(self, "phases", phases)
        if self.vision_from is not None:
            path("recipe.vision_from", self.vision_from)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(phase.steps for phase in self.phases)


def _phase(key: str, given: Mapping[str, Any]) -> Phase:
    fields = dataclasses.fields(Phase)
    defaults = {f.name: None if f.default is dataclasses.MISSING else f.default for f in fields}
    for name, value in given.items():
        if name not in defaults:
            known = ", ".join(defaults)
            raise ConfigError(f"{key}.{name}", value, f"no such key; there are {known}")
    values = {**defaults, **given}
    tiers, shares = (_several(f"{key}.{name}", values[name]) for name in ("tiers", "shares"))
    if len(tiers) != len(shares):
        raise ConfigError(f"{key}.shares", shares, f"one number for each of {len(tiers)} tiers")
    if tiers and sum(number(f"{key}.shares", share, 0) for share in shares) <= 0:
        raise ConfigError(f"{key}.shares", shares, "one of them above 0")
    for name in _NEEDS_TIERS:
        if name in given and not tiers:
            raise ConfigError(f"{key}.{name}", given[name], "left out: it is for phases with tiers")
    background = _several(f"{key}.background", values["background"])
    if len(background) != 2:
        raise ConfigError(f"{key}.background", background, "two shares, each from 0 to 1")
    first, last = (_share(f"{key}.background", share) for share in background)
    vision_rate = number(f"{key}.vision_rate", values["vision_rate"], 0)
    rehearsed_crops = whole_number(f"{key}.rehearsed_crops", values["rehearsed_crops"], 0)
    if rehearsed_crops and not vision_rate:
        allowed = "left out where the vision part stays as it is (vision_rate 0)"
        raise ConfigError(f"{key}.rehearsed_crops", rehearsed_crops, allowed)
    return Phase(
        steps=whole_number(f"{key}.steps", values["steps"], 1),
        learning_rate=number(f"{key}.learning_rate", values["learning_rate"], 0),
        crops_per_batch=whole_number(f"{key}.crops_per_batch", values["crops_per_batch"], 2),
        tiers=tiers,
        shares=shares,
        questions_per_task=whole_number(
            f"{key}.questions_per_task", values["questions_per_task"], 1
        ),
        vision_rate=vision_rate,
        background=(first, last),
        rehearsed_crops=rehearsed_crops,
        varied_knobs=_share(f"{key}.varied_knobs", values["varied_knobs"]),
    )


def _several(key: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(key, value, "a list")
    return tuple(value)


def _share(key: str, value: object) -> float:
    share = number(key, value, 0)
    if share > 1:
        raise ConfigError(key, value, "a share from 0 to 1")
    return share


def learning_rate(recipe: Recipe, step: int, vision: bool = False) -> float:
    """The learning rate of a step: in every phase a linear rise, then half a cosine to 0.

    Args:
        recipe: Recipe of the run.
        step: From 0.
        vision: Whether it is the vision part's.
    """
    phase, *later = recipe.phases
    while later and step >= phase.steps:
        step -= phase.steps
        phase, *later = later
    peak = phase.learning_rate * (phase.vision_rate if vision else 1.0)
    rising = recipe.warmup * phase.steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    falling = (step - rising) / (phase.steps - rising)
    return peak * (1 + math.cos(math.pi * min(falling, 1.0))) / 2
