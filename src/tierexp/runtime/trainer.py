"""Lightning's trainer from the configuration, for evaluation and training alike.

In: the group `trainer` and what the run itself decides. Out: a trainer, or one line about a setting
that cannot work.
"""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.warnings import PossibleUserWarning
from typing_extensions import override

from tierexp.config.build import Blueprint
from tierexp.errors import ConfigError
from tierexp.runtime.trainer_settings import check_trainer

_log = logging.getLogger(__name__)


class EndedBySigterm(Callback):
    """Lets SIGTERM end an evaluation, as it does other programs.

    Lightning would note it for a training loop to see, and tell other processes in a collective
    operation, which an evaluation never answers.
    """

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's handler, which it removes in the end."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interruptible(trainer: Trainer) -> Iterator[None]:
    """Turn the exit that Lightning makes of Ctrl-C back into a `KeyboardInterrupt`."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def quiet_lightning() -> None:
    """Silence Lightning's tips, banners and advice; its warnings about real trouble stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Advice on the number of workers; how many run is the configuration's decision.
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    # A run that goes on writes the logger's file anew, from all it has.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* is not empty")
    # Lightning's own use of a torch function that is to be renamed.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")


def supported_accelerator() -> str:
    """What `trainer.accelerator=auto` is on this machine, `cuda` or `cpu`; said where Lightning
    would choose another, such as Apple's GPU, on which nothing has been tried.
    """
    if torch.cuda.is_available():
        return "cuda"
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is not None:
        _log.warning(
            "this machine has an accelerator that is not supported, %s: running on the CPU",
            found.type,
        )
    return "cpu"


def build_trainer(blueprint: Blueprint, several: bool = False, **decided: Any) -> Trainer:
    """The trainer that the group `trainer` stands for.

    Args:
        blueprint: Blueprint of the trainer.
        several: Whether it may have several devices, with a process for each.
        decided: Arguments that are not the configuration's to set.

    Raises:
        ConfigError: There is no such accelerator, more than one device where there can be only one,
            another number of them than of processes that SLURM or torchrun have started, a limit on
            the samples, or whatever else Lightning refuses.
    """
    chosen = {key: value for key, value in blueprint.settings.items() if key != "_target_"}
    check_trainer(blueprint.settings)
    if chosen.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        allowed = "cpu or auto: there is no GPU here"
        raise ConfigError("trainer.accelerator", chosen["accelerator"], allowed)
    if chosen.get("accelerator") == "auto":
        settings = {**blueprint.settings, "accelerator": supported_accelerator()}
        blueprint = replace(blueprint, settings=settings)
    try:
        trainer = blueprint(**decided)
        if not isinstance(trainer, Trainer):
            target = blueprint.settings["_target_"]
            raise ConfigError("trainer._target_", target, "a trainer of Lightning's")
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if environment is not None:
            environment.validate_settings(trainer.num_devices, trainer.num_nodes)
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError("trainer", chosen, str(error)) from error
    if trainer.world_size != 1 and not several:
        allowed = "1: only an evaluation can have several"
        raise ConfigError("trainer.devices", chosen.get("devices"), allowed)
    created = environment is not None and environment.creates_processes_externally
    if trainer.num_nodes != 1 and not created:
        allowed = "1, or processes that srun or torchrun have started: docs/multi_device.md"
        raise ConfigError("trainer.num_nodes", trainer.num_nodes, allowed)
    return trainer
