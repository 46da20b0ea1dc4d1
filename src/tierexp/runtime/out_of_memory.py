"""Batches that do not fit into memory, answered in parts that do.

In: a batch and what answers one. Out: the answers of its parts, in order. Knows nothing about
files, scores or what an answer is.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import torch

from tierexp.errors.machine import first_line, lacks_memory
from tierexp.models.protocol import BatchInputs

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class SplitOnOutOfMemory(Generic[Answer]):
    """Halves a batch until it fits, and later ones of as many crops without trying them whole.

    Args:
        answer: Answers a batch; leaves nothing behind where it fails.
    """

    def __init__(self, answer: Callable[[BatchInputs], Answer]) -> None:
        self._answer = answer
        self._most: dict[int, int] = {}
        """Rows that fitted after more did not, by views per image."""
        self.halved = 0
        """How many batches were answered in parts."""

    def __call__(self, inputs: BatchInputs) -> Iterator[tuple[range, Answer | None]]:
        """Rows of the batch and their answers, part by part; None where a single row does not fit.

        Args:
            inputs: Inputs of at least one row.
        """
        rows, views = range(len(inputs)), inputs.views
        most = self._most.get(views, len(rows))
        waiting = [rows[start : start + most] for start in range(0, len(rows), most)]
        self.halved += len(waiting) > 1
        while waiting:
            part = waiting.pop(0)
            answer = self._try(inputs if part == rows else inputs.select(part))
            if answer is not None or len(part) == 1:
                yield part, answer
                continue
            half = (len(part) + 1) // 2
            self._most[views] = half
            self.halved += part == rows
            waiting[:0] = [part[:half], part[half:]]

    def _try(self, inputs: BatchInputs) -> Answer | None:
        """None where memory does not suffice; then what was taken of it is free again."""
        try:
            return self._answer(inputs)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            if not self._most and len(inputs) > 1:
                _log.warning(
                    "a batch of %d with %d views each does not fit into memory and is halved (%s)",
                    len(inputs), inputs.views, first_line(error),
                )  # fmt: skip
        # Only here, where the exception is gone, are the tensors that its traceback held on to.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None
