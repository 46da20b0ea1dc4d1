"""The group `trainer` as far as it can be checked without Lightning.

In: its values. Out: nothing, or one line. Imports no torch, so that a sweep's trainers are looked
at before its first run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tierexp.config.build import unknown_key
from tierexp.config.checks import choice, optional_whole_number
from tierexp.errors import ConfigError

MAX_DEVICES = 64
"""Every device has a process with the whole model; more of them are more machines."""
MAX_NODES = 4096

_TARGET = "lightning.Trainer"
_ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
"""What is supported: CPUs and NVIDIA's GPUs. Apple's lack the float64 that confidences are added up
in, and no other has been tried."""
_STRATEGIES = ("auto", "ddp")
_SHORTENING = ("fast_dev_run", "limit_test_batches", "limit_train_batches", "limit_val_batches")
_KNOWN = (
    "accelerator", "devices", "strategy", "num_nodes", "deterministic", "benchmark", "profiler",
    "detect_anomaly", "inference_mode", "log_every_n_steps",
)  # fmt: skip
"""What a user may decide; the rest is a run's own, or would change what is measured unseen."""


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Refuse what Lightning would take and a run cannot have, and numbers that flood a machine.

    Args:
        settings: The group `trainer`, resolved.

    Raises:
        ConfigError: Such a setting.
    """
    if settings.get("_target_") != _TARGET:
        return  # somebody's own trainer knows itself
    for key in _SHORTENING:
        if key in settings:
            allowed = (
                "left out: data.max_samples makes an evaluation shorter, recipe.phases a training"
            )
            raise ConfigError(f"trainer.{key}", settings[key], allowed)
    if "precision" in settings:
        allowed = "left out: model.dtype is the precision of a model, a recipe has its own"
        raise ConfigError("trainer.precision", settings["precision"], allowed)
    for key, value in settings.items():
        if key not in (*_KNOWN, "_target_"):
            raise unknown_key(f"trainer.{key}", value, _KNOWN)
    choice("trainer.accelerator", settings.get("accelerator", "auto"), _ACCELERATORS)
    strategy = settings.get("strategy", "auto")
    if strategy not in _STRATEGIES:
        allowed = "auto or ddp: every process has the whole model"
        raise ConfigError("trainer.strategy", strategy, allowed)
    optional_whole_number("trainer.num_nodes", settings.get("num_nodes"), 1, MAX_NODES)
    _check_devices(settings.get("devices", "auto"))


def _check_devices(devices: object) -> None:
    chosen: object = devices
    if isinstance(devices, str) and re.fullmatch(r"\d+(,\d+)*", devices):
        places = [int(place) for place in devices.split(",")]
        chosen = places if "," in devices else places[0]
    if isinstance(chosen, list | tuple):
        good = bool(chosen) and all(_within(place, 0, MAX_DEVICES - 1) for place in chosen)
    else:
        good = (
            chosen in ("auto", "-1") or _within(chosen, 1, MAX_DEVICES) or _within(chosen, -1, -1)
        )
    if not good:
        allowed = f"auto, a number from 1 to {MAX_DEVICES}, or a list of GPUs, such as [0,2]"
        raise ConfigError("trainer.devices", devices, allowed)


def _within(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
