"""The program of a process that `local_processes` has started: a part of somebody else's run.

In: on the first line of standard input, the run's settings. Out: a journal. When the input ends, so
has the process that holds its other end, and this one ends, too.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
import threading
from pathlib import Path

from omegaconf import OmegaConf

from tierexp.config.refusal import refusing
from tierexp.evaluation.setup import read_setup
from tierexp.runtime.lean_imports import lean_imports
from tierexp.runtime.parent_watch import end_now

_EVERY = 0.2
"""Seconds between two looks at whether the first process lives."""


def _end_with(first: int) -> None:
    # Its data workers keep the other end of the input open for a while after its death.
    while os.getppid() == first and not select.select([sys.stdin], [], [], _EVERY)[0]:
        pass
    end_now()


if __name__ == "__main__":
    first = os.getppid()
    # Unbuffered: the end that comes after the line is for the other thread to see.
    with io.FileIO(sys.stdin.fileno(), closefd=False) as line:
        told = json.loads(line.readline())
    threading.Thread(target=_end_with, args=(first,), daemon=True).start()
    with lean_imports():
        from tierexp.evaluation.engine import run_evaluation

    config = OmegaConf.create(told["settings"])
    with refusing():
        run_evaluation(read_setup(config), Path(told["output_dir"]))
