"""A data loader that survives the death of its worker processes.

In: what prepares a sample by its index, and batches of indices. Out: the prepared batches, in
order. A worker that is killed, by the system for want of memory or by a decoder's crash, is
replaced: what it had prepared is prepared again, which gives the same. Knows nothing about images
or models.
"""

from __future__ import annotations

import logging
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
from tierexp.machine import first_line

_log = logging.getLogger(__name__)

_PATIENCE = 2
"""Deaths without a batch in between, after which the run ends."""


class SurvivingLoader:
    """An iterable of batches, prepared ahead by worker processes.

    Args:
        preparer: Of single samples.
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

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        given = deaths = 0
        while given < len(self):
            try:
                for batch in self._prepared(self._batches[given:]):
                    given, deaths = given + 1, 0
                    yield batch
            except RuntimeError as error:
                if not str(error).startswith("DataLoader worker"):
                    raise
                reason = first_line(error)
            else:
                return
            # Only here, where the exception is gone, are the other workers, which it held on to.
            deaths += 1
            if deaths == _PATIENCE:
                raise MachineError(
                    f"{reason}, for the {deaths}nd time over batch {given + 1} of {len(self)} or "
                    "one of the next; data.num_workers=1 needs less memory"
                )
            _log.warning("%s; another one does its work again", reason)

    def _prepared(self, batches: Sequence[Sequence[int]]) -> Iterator[EvaluationBatch]:
        loader = DataLoader(
            self._preparer,  # type: ignore[arg-type]  # map-style by its methods
            batch_sampler=batches,  # type: ignore[arg-type]  # an iterable of index lists
            collate_fn=self._collate,
            num_workers=self._num_workers,
            pin_memory=torch.cuda.is_available(),
        )
        with _deaths_found_when_waiting(iter(loader)) as prepared:
            yield from prepared


@contextmanager
def _deaths_found_when_waiting(
    prepared: Iterator[EvaluationBatch],
) -> Iterator[Iterator[EvaluationBatch]]:
    """PyTorch tells of a worker's death from a signal handler, that is, anywhere: in the middle of
    an answer, or of a line of a journal. Without that handler its loader finds out itself, when it
    has waited for the worker for some seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield prepared  # no handler is set there
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield prepared
    finally:
        signal.signal(signal.SIGCHLD, before)
