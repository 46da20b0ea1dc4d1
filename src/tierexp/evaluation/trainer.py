"""Lightning's trainer from the configuration, for evaluation and training alike.

In: the configuration and what the run itself decides. Out: a trainer on one device, or one line
about a setting that cannot work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from tierexp.config import build, resolved
from tierexp.errors import ConfigError


@contextmanager
def interruptible(trainer: Trainer) -> Iterator[None]:
    """Turn the exit that Lightning makes of Ctrl-C back into a `KeyboardInterrupt`."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def build_trainer(config: DictConfig, **decided: Any) -> Trainer:
    """The trainer that the group `trainer` describes.

    Args:
        config: The whole configuration.
        decided: Arguments that are not the configuration's to set.

    Raises:
        ConfigError: There is no such accelerator, more than one device, a limit on the samples,
            or whatever else Lightning refuses.
    """
    accelerator = config.trainer.get("accelerator")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator", accelerator, "cpu or auto: there is no GPU here")
    for key in ("fast_dev_run", "limit_test_batches", "limit_train_batches", "limit_val_batches"):
        if key in config.trainer:
            allowed = "nothing: data.max_samples and recipe.steps make a run shorter"
            raise ConfigError(f"trainer.{key}", config.trainer[key], allowed)
    try:
        trainer: Trainer = build(config, "trainer", **decided)
    except (MisconfigurationException, TypeError, ValueError) as error:
        chosen = resolved(config.trainer)
        del chosen["_target_"]
        raise ConfigError("trainer", chosen, str(error)) from error
    if trainer.world_size != 1:
        raise ConfigError("trainer.devices", config.trainer.devices, "1: a run has one device")
    return trainer
