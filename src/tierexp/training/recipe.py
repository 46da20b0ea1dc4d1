"""The numbers of a training run, refused before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tierexp.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """How long, how fast, and on what.

    Args:
        steps: Optimiser steps in all.
        vision_steps: The first of them, on crowded single crops, without the language model.
        learning_rate: At its peak; the schedule is one cosine cycle.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: Of matrices; vectors have none.
        gradient_clip: Norm to which gradients are clipped.
        dense_weight: Weight of the dense loss beside the answers'.
        balance_weight: Weight of the loss that keeps experts evenly used.
        tiers: Names of the tiers that batches are cut for.
        tier_shares: How often each of them is drawn.
        crops_per_batch: Crops of a batch at most, global views included.
        questions_per_task: Questions put to an image, for each task.
        num_workers: Worker processes that make batches; 0 makes them in the main process.
        validation_questions: Questions that validation asks, per tier.
        validation_every: Steps between validations.
        validation_batch_size: Most samples of a validation batch.
        max_new_tokens: The longest answer that validation generates.
    """

    steps: int
    vision_steps: int
    learning_rate: float
    warmup: float
    weight_decay: float
    gradient_clip: float
    dense_weight: float
    balance_weight: float
    tiers: Sequence[str]
    tier_shares: Sequence[float]
    crops_per_batch: int
    questions_per_task: int
    num_workers: int
    validation_questions: int
    validation_every: int
    validation_batch_size: int
    max_new_tokens: int

    def __post_init__(self) -> None:
        for name, minimum in {
            "steps": 1,
            "vision_steps": 0,
            "crops_per_batch": 2,
            "questions_per_task": 1,
            "num_workers": 0,
            "validation_questions": 1,
            "validation_every": 1,
            "validation_batch_size": 1,
            "max_new_tokens": 1,
        }.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise ConfigError(f"recipe.{name}", value, f"a whole number >= {minimum}")
        for name in ("learning_rate", "weight_decay", "gradient_clip"):
            value = getattr(self, name)
            if isinstance(value, str) or not value >= 0:
                raise ConfigError(f"recipe.{name}", value, "a number >= 0")
        if not 0 < self.warmup < 1:
            raise ConfigError("recipe.warmup", self.warmup, "a share between 0 and 1")
        if not self.tiers or len(self.tiers) != len(self.tier_shares):
            raise ConfigError("recipe.tiers", self.tiers, "names, one for each of the tier_shares")
        if min(self.tier_shares) <= 0:
            raise ConfigError("recipe.tier_shares", self.tier_shares, "numbers above 0")
