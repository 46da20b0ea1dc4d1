"""The start of a W&B run without what takes time, or talks, for nobody.

In: whether the run is offline. Out: a block in which to call `wandb.init`. Each of its parts uses
something that W&B's documentation does not promise: a release that has it no longer starts as it
does by itself, and a test tells.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import wandb

_LAUNCH_INPUTS = "wandb.sdk.launch.inputs.internal"


@contextmanager
def lean_start(offline: bool) -> Iterator[None]:
    """Inside, W&B starts a run.

    Args:
        offline: Whether the run is, or is disabled.
    """
    # Frames are known by the name of their type, too: pandas need not be imported for all else.
    _replace("wandb.util", "pd_available", False)
    # Its service is there after a few hundredths of a second, and is looked for every fifth of one.
    _replace("wandb.sdk.lib.service.service_port_file", "_SLEEP", lambda _: time.sleep(0.01))
    if offline:
        _say_nothing()
    with _without_launch():
        yield


def _replace(module: str, name: str, value: Any) -> None:
    found = _module(module)
    if hasattr(found, name):
        setattr(found, name, value)


def _say_nothing() -> None:
    """How W&B is doing: a process tells that to its server, however its runs were started."""
    disable = getattr(_module("wandb.analytics.opentelemetry.opentelemetry_proxy"), "disable", None)
    if disable is not None:
        disable()


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@contextmanager
def _without_launch() -> Iterator[None]:
    """W&B imports its launcher, and with it all of its public interface, to look for inputs of a
    job: only who has imported it can have left some.
    """
    if _LAUNCH_INPUTS in sys.modules:
        yield
        return
    sys.modules[_LAUNCH_INPUTS] = stands_in = _NoLaunchInputs(_LAUNCH_INPUTS)
    try:
        yield
    finally:
        if sys.modules.get(_LAUNCH_INPUTS) is stands_in:
            del sys.modules[_LAUNCH_INPUTS]


class _NoLaunchInputs(ModuleType):
    """Stands in for the launcher's module until something else of it is asked for."""

    class StagedLaunchInputs:
        """None were left."""

        def apply(self, run: wandb.Run) -> None:
            """Nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        del sys.modules[_LAUNCH_INPUTS]
        return getattr(importlib.import_module(_LAUNCH_INPUTS), name)
