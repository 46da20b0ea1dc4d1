"""A data loader that survives the death of its worker processes.

In: what prepares a sample by its index, and batches of indices. Out: the prepared batches, in
order. A worker that is killed, by the system for want of memory or by a decoder's crash, is
replaced: what it had prepared is prepared again, which gives the same. Knows nothing about images
or models.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from tierexp.data.batch import EvaluationBatch
from tierexp.data.collate import Collate
from tierexp.data.prepare import SamplePreparer
from tierexp.errors import MachineError
from tierexp.errors.machine import first_line
from tierexp.models.shared_memory import Slabs

_log = logging.getLogger(__name__)

_PATIENCE = 3
"""Deaths without a batch in between, after which the run ends."""


def start_method(num_workers: int) -> str | None:
    """How a data loader starts its workers; None leaves it to Python.

    The processes of joblib have a start method of their own, with which PyTorch's workers cannot
    begin.

    Args:
        num_workers: Worker processes.
    """
    known = multiprocessing.get_all_start_methods()  # the system's usual one first
    return known[0] if num_workers and multiprocessing.get_start_method() not in known else None


class SurvivingLoader:
    """An iterable of batches, prepared ahead by worker processes.

    Args:
        preparer: Preparer of single samples.
        batches: Indices of the samples of each batch.
        collate: Makes a batch of prepared samples.
        num_workers: Worker processes; 0 prepares in this process.

    Raises:
        MachineError: When iterated, where workers are killed over the same batch again.
    """

    def __init__(
        self,
        preparer: SamplePreparer,
        batches: Sequence[Sequence[int]],
        collate: Collate,
        num_workers: int,
    ) -> None:
        self._preparer = preparer
        self._batches = batches
        self._collate = collate
        self._num_workers = num_workers
        self._begun: Iterator[EvaluationBatch | None] | None = None

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        begun, self._begun = self._begun or self._batches_and_starts(), None
        for batch in begun:
            if batch is not None:
                yield batch

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Workers prepare the first batches meanwhile, before anybody iterates."""
        gc.collect()  # What is garbage, such as an earlier run's model, would stay as long as they.
        self._begun = self._batches_and_starts()
        next(self._begun, None)
        try:
            yield
        finally:
            self._begun = None

    def _batches_and_starts(self) -> Iterator[EvaluationBatch | None]:
        """The batches, and None whenever workers have been started."""
        given = deaths = 0
        with _handler_kept():
            while given < len(self):
                try:
                    for batch in self._prepared(self._batches[given:]):
                        if batch is not None:
                            given, deaths = given + 1, 0
                        yield batch
                except (RuntimeError, OSError, EOFError) as error:
                    if not (self._num_workers and _tells_of_a_death(error)):
                        raise
                    reason = f"a worker process of the data loader was killed ({first_line(error)})"
                # Only where the exception is gone are the other workers, which it held on to.
                if given == len(self):
                    return
                deaths += 1
                if deaths == _PATIENCE:
                    raise MachineError(
                        f"{reason}, {deaths} times over batch {given + 1} of {len(self)} or one of "
                        "the next; data.num_workers=1 needs less memory"
                    )
                _log.warning("%s; another one does its work again", reason)

    def _prepared(self, batches: Sequence[Sequence[int]]) -> Iterator[EvaluationBatch | None]:
        slabs = Slabs(self._num_workers)
        loader: DataLoader[EvaluationBatch] = DataLoader(
            self._preparer,  # type: ignore[arg-type]  # map-style by its methods
            batch_sampler=batches,  # type: ignore[arg-type]  # an iterable of index lists
            collate_fn=self._collate,
            num_workers=self._num_workers,
            multiprocessing_context=start_method(self._num_workers),
            worker_init_fn=slabs.serve,
            pin_memory=torch.cuda.is_available(),
        )
        # What is here already stays until the end: looking through it for garbage would take a
        # tenth of this process's time, and copy its pages into every worker.
        gc.freeze()
        prepared = iter(loader)
        if _in_main_thread():
            # PyTorch would tell of a death from a signal handler, that is, anywhere: in the middle
            # of an answer, or of a line of a journal. Without the handler, which it has set by now,
            # its loader finds out when it has waited for the worker for some seconds.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            yield None
            yield from prepared
        finally:
            gc.unfreeze()


def _tells_of_a_death(error: BaseException) -> bool:
    message = str(error)
    if isinstance(error, RuntimeError):
        return message.startswith("DataLoader worker")
    # What a worker had sent is fetched from it. An exception of its own would come from a worker
    # that lives, and say so.
    lost = isinstance(error, ConnectionError | EOFError | FileNotFoundError)
    return lost and not message.startswith("Caught ")


def _in_main_thread() -> bool:
    """Where alone signal handlers are set."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _handler_kept() -> Iterator[None]:
    """Leave the handler of SIGCHLD as it was, once all workers are gone."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if _in_main_thread() and before is not None:
            signal.signal(signal.SIGCHLD, before)
