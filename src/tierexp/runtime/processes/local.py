"""Processes of this machine beside the one that the user has started: begun, watched, ended.

To Lightning they are what torchrun would start: the variables LOCAL_RANK, MASTER_ADDR and
MASTER_PORT say who they are. They outlive neither the run nor the process that began them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed import PrefixStore, TCPStore
from typing_extensions import override

from tierexp.config.refusal import error_line
from tierexp.models.threads import torch_threads
from tierexp.runtime.processes.group import ProcessEndedError, Processes

_EVERY = 0.2
"""Seconds between two looks at whether the other processes live."""
_GRACE = 10.0
"""Seconds that a process has to go home by itself."""
_PATIENCE = 60.0
"""Seconds in which the first process has to take note of another one's death."""


@dataclass(frozen=True)
class Program:
    """What the other processes of a run execute.

    Args:
        module: Run as `python -m`.
        told: Written to its standard input as one line of JSON; when that ends, it has to end.
    """

    module: str
    told: Mapping[str, Any]


class LocalProcesses(Processes):
    """The first process of a run, and the others, which it starts.

    Args:
        store: Kept by this process.
        size: How many there are, this one included.
        program: Program of the others.
    """

    def __init__(self, store: TCPStore, size: int, program: Program) -> None:
        super().__init__(PrefixStore("tierexp/0", store), 0, size)
        self._program = program
        self._others: list[subprocess.Popen[bytes]] = []
        self._dead: ProcessEndedError | None = None
        self._noted = threading.Event()
        """That it is over: all is done, or a death has been heard of."""

    @override
    def broadcast(self, decided: Mapping[str, Any] | None) -> None:
        """Start the other processes, unless there is nothing for them to do."""
        if decided is not None:
            for rank in range(1, self.size):
                self._others.append(_start(rank, self._program))
            threading.Thread(target=self._watch, daemon=True).start()
        else:
            self.size = 1  # nobody else will come
        super().broadcast(decided)

    @override
    def check(self) -> None:
        """The same, and whether a process has died without a word."""
        super().check()
        if self._dead is not None:
            raise self._dead

    @override
    def end(self) -> None:
        """Send the other processes home and wait until they are gone."""
        self._noted.set()
        for process in self._others:
            _hang_up(process)
        self.join()

    def join(self) -> None:
        """Wait until the other processes have gone home by themselves."""
        self._noted.set()
        patience = time.monotonic() + _GRACE
        for process in self._others:
            try:
                process.wait(max(0.0, patience - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _hang_up(process)

    def _watch(self) -> None:
        while not self._noted.wait(_EVERY):
            for rank, process in enumerate(self._others, 1):
                code = process.poll()
                if code:
                    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
                    self._dead = ProcessEndedError(f"process {rank + 1} of {self.size} ended {how}")
                    # The main thread may wait for the dead in a collective operation, for ever.
                    if not self._noted.wait(_PATIENCE):
                        sys.stderr.write(f"{error_line(self._dead)}\n")
                        os._exit(1)
                    return


@contextmanager
def local_processes(size: int, program: Program) -> Iterator[LocalProcesses]:
    """The processes of this machine, as the first of them sees them.

    Args:
        size: How many, this one included.
        program: Program of the others.
    """
    # A port of its own, which nobody can take in between.
    store = TCPStore("127.0.0.1", 0, size, True, wait_for_workers=False, multi_tenant=True)
    processes = LocalProcesses(store, size, program)
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "LOCAL_RANK": "0"}
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, threads // size)
        variables["OMP_NUM_THREADS"] = str(threads)
    with _environment(variables), torch_threads(threads):
        try:
            yield processes
            processes.join()
        finally:
            processes.end()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _start(rank: int, program: Program) -> subprocess.Popen[bytes]:
    # Not by multiprocessing, which joblib's processes have a dialect of.
    modules = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", program.module],
        stdin=subprocess.PIPE,
        env={**os.environ, "LOCAL_RANK": str(rank), "PYTHONPATH": modules},
        process_group=0,  # Ctrl-C is for the first process
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already, and being watched
        process.stdin.write(json.dumps(program.told).encode() + b"\n")
        process.stdin.flush()
    return process


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
