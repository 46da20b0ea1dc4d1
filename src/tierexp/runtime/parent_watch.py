"""A process ends with the one that has started it, however that ends.

In: the number of the other process. Out: the end of this one, within a second of the other's.
Linux's own signal for this (PR_SET_PDEATHSIG) is not used: it comes at the end of the thread that
has started a process, which in joblib is not the whole process. Imports no torch.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import NoReturn

_EVERY = 0.2
"""Seconds between two looks."""


def end_with(process: int) -> None:
    """End this process, with those that multiprocessing has started for it, once another has ended.

    Args:
        process: The number of the other, on this machine; where it is not seen, nothing is done.
    """
    if os.getppid() != process and _started(process) is None:
        return
    threading.Thread(target=_watch, args=(process,), daemon=True).start()


def end_now() -> NoReturn:
    """End this process and those that multiprocessing has started for it."""
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(1)


def _watch(process: int) -> None:
    if os.getppid() == process:
        while os.getppid() == process:
            time.sleep(_EVERY)
    else:
        # Numbers are given again; two processes that have one do not start at the same time.
        started = _started(process)
        while _started(process) == started:
            time.sleep(_EVERY)
    end_now()


def _started(process: int) -> str | None:
    """When a process has started; None where it is not there, or the system has no /proc."""
    try:
        words = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else words[19]
