"""Processes of this machine beside the one that the user has started: begun, watched, ended.

To Lightning they are what torchrun would start: the variables LOCAL_RANK, MASTER_ADDR and
MASTER_PORT say who they are. They outlive neither the run nor the process that began them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from torch.distributed import PrefixStore, TCPStore
from typing_extensions import override

from tierexp.errors import TierexpError
from tierexp.evaluation.processes.group import ProcessEndedError, Processes
from tierexp.refusal import error_line, refuse

_EVERY = 0.2
"""Seconds between two looks at whether the other processes live."""
_GRACE = 10.0
"""Seconds that a process has to go home by itself."""
_PATIENCE = 60.0
"""Seconds in which the first process has to take note of another one's death."""


class LocalProcesses(Processes):
    """The first process of a run, and the others, which it starts.

    Args:
        store: Kept by this process.
        size: How many there are, this one included.
        helper: What each of the others does.
    """

    def __init__(self, store: TCPStore, size: int, helper: Callable[[], None]) -> None:
        super().__init__(PrefixStore("tierexp/0", store), 0, size)
        self._helper = helper
        self._others: list[tuple[SpawnProcess, Connection]] = []
        self._dead: ProcessEndedError | None = None
        self._noted = threading.Event()
        """That it is over: all is done, or a death has been heard of."""

    @override
    def begin(self, decided: Mapping[str, Any] | None) -> None:
        """Start the other processes, unless there is nothing for them to do."""
        if decided is not None:
            for rank in range(1, self.size):
                self._others.append(_start(rank, self.size, self._helper))
            threading.Thread(target=self._watch, daemon=True).start()
        else:
            self.size = 1  # nobody else will come
        super().begin(decided)

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
        for _, line in self._others:
            line.close()
        self.join()

    def join(self) -> None:
        """Wait until the other processes have gone home by themselves."""
        self._noted.set()
        patience = time.monotonic() + _GRACE
        for process, _ in self._others:
            process.join(max(0.0, patience - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _watch(self) -> None:
        # Not by their sentinels: data workers keep those of a dead process open for a while.
        while not self._noted.wait(_EVERY):
            for process, _ in self._others:
                if process.exitcode:
                    self._dead = ProcessEndedError(_how(process))
                    # The main thread may wait for the dead in a collective operation, for ever.
                    if not self._noted.wait(_PATIENCE):
                        sys.stderr.write(f"{error_line(self._dead)}\n")
                        os._exit(1)
                    return


@contextmanager
def local_processes(size: int, helper: Callable[[], None]) -> Iterator[LocalProcesses]:
    """The processes of this machine, as the first of them sees them.

    Args:
        size: How many, this one included.
        helper: What each of the others does; a function that pickle finds by name.
    """
    # A port of its own, which nobody can take in between.
    store = TCPStore("127.0.0.1", 0, size, True, wait_for_workers=False, multi_tenant=True)
    processes = LocalProcesses(store, size, helper)
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "LOCAL_RANK": "0"}
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, threads // size)
        variables["OMP_NUM_THREADS"] = str(threads)
    with _environment(variables), _threads(threads):
        try:
            yield processes
            processes.join()
        finally:
            processes.end()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _start(rank: int, size: int, helper: Callable[[], None]) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe(duplex=False)
    method = multiprocessing.get_start_method(allow_none=True)
    name = f"process {rank + 1} of {size}"
    process = context.Process(target=_help, args=(helper, there, method), name=name)
    # Ctrl-C is for the first process: one that is being ignored when Python starts stays ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _environment({"LOCAL_RANK": str(rank)}):
            process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    there.close()
    return process, here


def _how(process: SpawnProcess) -> str:
    """How a process ended."""
    code = process.exitcode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"{process.name} {how}"


def _help(helper: Callable[[], None], line: Connection, method: str | None) -> None:
    """What another process does, until it is done or the first one hangs up."""
    first = os.getppid()
    # A spawned process would spawn its data workers, too, and each would import everything anew.
    multiprocessing.set_start_method(method, force=True)

    def listen() -> None:
        # Workers of the first process may keep the line open a while after it has died.
        while os.getppid() == first and not line.poll(_EVERY):
            pass
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    try:
        helper()
    except TierexpError as error:
        refuse(error)


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


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
