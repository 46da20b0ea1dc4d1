"""What the processes that share a run tell each other.

In: a store that all of them see, kept by one. Out: the same run as seen from each of them. They
wait for each other by asking the store, not in a collective operation, which the death of a process
may leave waiting for ever. Knows nothing of samples, nor who starts the processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, cast

from torch.distributed import Store

from tierexp.errors import MachineError, TierexpError
from tierexp.errors.machine import machine_trouble

_PAUSE = 0.02
"""Seconds between two looks at the store."""


class ProcessEndedError(Exception):
    """Another process of the run has ended before its work was done; why, in one line."""


class Processes:
    """Those of a run; without a store, one process alone.

    Args:
        store: That all of them see.
        rank: Rank of this process; the first is 0.
        size: How many there are.
    """

    def __init__(self, store: Store | None = None, rank: int = 0, size: int = 1) -> None:
        self._store = store
        self.rank = rank
        self.size = size

    @property
    def first(self) -> bool:
        """Whether this process speaks for the run: it decides, logs, writes and prints."""
        return self.rank == 0

    def broadcast(self, decided: Mapping[str, Any] | None) -> None:
        """Say, in the first process, what the others are to do; None is nothing."""
        if self._store is not None:
            self._store.set("decided", json.dumps(decided))

    def receive(self) -> Mapping[str, Any] | None:
        """What the first process says, once it does.

        Raises:
            TierexpError, MachineError, ProcessEndedError: Another process has ended.
        """
        assert self._store is not None
        self._wait("decided")
        return cast("Mapping[str, Any] | None", json.loads(self._store.get("decided")))

    def barrier(self, stage: str) -> None:
        """Wait until all processes have come to the same place.

        Args:
            stage: Its name; each process comes there once.

        Raises:
            TierexpError, MachineError, ProcessEndedError: Another process has ended.
        """
        if self._store is not None:
            self._store.set(f"{stage}/{self.rank}", "")
            self._wait(*(f"{stage}/{rank}" for rank in range(self.size)))

    def check(self) -> None:
        """Look whether another process has ended too early.

        Raises:
            TierexpError: A mistake of the user, which only it has met.
            MachineError: Its machine could not go on.
            ProcessEndedError: Anything else.
        """
        if self._store is None or not self._store.check(["failure"]):
            return
        failure = json.loads(self._store.get("failure"))
        if failure["whose"] == "user":
            raise TierexpError(failure["text"])
        who = f"process {failure['rank'] + 1} of {self.size}"
        if failure["whose"] == "machine":
            raise MachineError(f"{who}: {failure['text']}")
        raise ProcessEndedError(f"{who} ended with {failure['text']}")

    def end(self) -> None:
        """Send the other processes home, where this one started them."""

    def abort(self, error: BaseException) -> None:
        """Tell the others that this process ends; the first to do so is heard."""
        if self._store is None:
            return
        trouble = machine_trouble(error)
        if isinstance(error, TierexpError):
            whose, text = "user", str(error)
        elif trouble is not None:
            whose, text = "machine", trouble
        else:
            whose, text = "tierexp", " ".join(f"{type(error).__name__}: {error}".split())
        failure = json.dumps({"rank": self.rank, "whose": whose, "text": text})
        self._store.compare_set("failure", "", failure)

    def _wait(self, *keys: str) -> None:
        assert self._store is not None
        while not self._store.check(list(keys)):
            self.check()
            time.sleep(_PAUSE)
