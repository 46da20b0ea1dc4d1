"""The start of a W&B run without what takes time, or talks, for nobody.

In: whether the run is offline. Out: a block in which to call `wandb.init`. Each of its four parts
uses something that W&B's documentation does not promise; tests tell when one of them is gone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import wandb
from wandb.analytics.opentelemetry.opentelemetry_proxy import disable as disable_telemetry
from wandb.sdk.lib.service import service_port_file

_LAUNCH_INPUTS = "wandb.sdk.launch.inputs.internal"


@contextmanager
def lean_start(offline: bool) -> Iterator[None]:
    """Inside, W&B starts a run.

    Args:
        offline: Whether the run is, or is disabled.
    """
    # Frames are known by the name of their type, too: pandas need not be imported for all else.
    wandb.util.pd_available = False
    # Its service is there after a few hundredths of a second, and is looked for every fifth of one.
    service_port_file._SLEEP = lambda _: time.sleep(0.01)
    if offline:
        # How W&B is doing: a process tells that to its server, however its runs were started.
        disable_telemetry()
    with _without_launch():
        yield


@contextmanager
def _without_launch() -> Iterator[None]:
    """W&B imports its launcher, and with it all of its public interface, to look for inputs of a
    job: only who has imported it can have left some.
    """
    if _LAUNCH_INPUTS in sys.modules:
        yield
        return
    none_left = ModuleType(_LAUNCH_INPUTS)
    none_left.StagedLaunchInputs = _NoLaunchInputs  # type: ignore[attr-defined]
    sys.modules[_LAUNCH_INPUTS] = none_left
    try:
        yield
    finally:
        del sys.modules[_LAUNCH_INPUTS]


class _NoLaunchInputs:
    def apply(self, run: wandb.Run) -> None:
        """Nothing."""
