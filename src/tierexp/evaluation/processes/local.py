"""Processes of this machine beside the one that the user has started: begun, watched, ended.

To Lightning they are what torchrun would start: the variables LOCAL_RANK, MASTER_ADDR and
MASTER_PORT say who they are. They outlive neither the run nor the process that began them.
"""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from torch.distributed import PrefixStore, TCPStore
from typing_extensions import override

from tierexp.errors import TierexpError
from tierexp.evaluation.processes.group import ProcessEnded, Processes
from tierexp.refusal import refuse

_GRACE = 10.0
"""Seconds that a process has to go home by itself."""


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
        self._dead: tuple[int, int] | None = None  # rank, exit code
        self._known = threading.Lock()
        """Taken by whoever notices first that a process is dead, or has sent all of them home."""

    @override
    def begin(self, decided: Mapping[str, Any] | None) -> None:
        """Start the other processes, unless there is nothing for them to do."""
        if decided is not None:
            for rank in range(1, self.size):
                self._others.append(_start(rank, self._helper))
            threading.Thread(target=self._watch, daemon=True).start()
        else:
            self.size = 1  # nobody else will come
        super().begin(decided)

    @override
    def check(self) -> None:
        """The same, and whether a process has died without a word."""
        try:
            super().check()
        except (TierexpError, ProcessEnded):
            self._known.acquire(blocking=False)
            raise
        if self._dead is not None:
            rank, code = self._dead
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            raise ProcessEnded(f"process {rank + 1} of {self.size} {how}")

    @override
    def end(self) -> None:
        """Send the other processes home and wait until they are gone."""
        self._known.acquire(blocking=False)
        for _, line in self._others:
            line.close()
        self.wait()

    def wait(self) -> None:
        """Wait until the other processes have gone home by themselves."""
        self._known.acquire(blocking=False)
        patience = time.monotonic() + _GRACE
        for process, _ in self._others:
            process.join(max(0.0, patience - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _watch(self) -> None:
        ranks = {process.sentinel: rank for rank, (process, _) in enumerate(self._others, 1)}
        while ranks:
            for sentinel in wait(list(ranks)):
                rank = ranks.pop(sentinel)  # type: ignore[call-overload]
                process, _ = self._others[rank - 1]
                process.join()
                if process.exitcode:
                    if self._known.acquire(blocking=False):
                        self._dead = rank, process.exitcode
                        _thread.interrupt_main()
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
    cores = os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // size)))}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "LOCAL_RANK": "0"}
    with _environment({**threads, **address}), _threads(int(threads["OMP_NUM_THREADS"])):
        try:
            yield processes
            processes.wait()
        finally:
            processes.end()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _start(rank: int, helper: Callable[[], None]) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe(duplex=False)
    method = multiprocessing.get_start_method(allow_none=True)
    process = context.Process(target=_help, args=(helper, there, method), name=f"process {rank + 1}")
    # Ctrl-C is for the first process: one that is being ignored when Python starts stays ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _environment({"LOCAL_RANK": str(rank)}):
            process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    there.close()
    return process, here


def _help(helper: Callable[[], None], line: Connection, method: str | None) -> None:
    """What another process does, until it is done or the first one hangs up."""
    first = os.getppid()
    # A spawned process would spawn its data workers, too, and each would import everything anew.
    multiprocessing.set_start_method(method, force=True)

    def listen() -> None:
        # Workers of the first process may keep the line open a while after it has died.
        while os.getppid() == first and not line.poll(0.2):
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
