"""Training states: what an interrupted run goes on from.

In: a trainer at the end of a step. Out: `last.ckpt`, now and then, before every validation, after
the last step, and on Ctrl-C. A state is saved between steps only, where weights, optimizer and step
number belong together, so that a run that goes on ends like one that was never stopped.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

_log = logging.getLogger(__name__)

FILE_NAME = "last.ckpt"


class TrainingStates(Callback):
    """Saves the state of training between steps.

    Args:
        file: That holds it; the one before is replaced when the new one is whole.
        every: Steps between two states: what a power cut can cost.
        before_validation: Steps between two validations; a state is saved before each.
    """

    def __init__(self, file: Path, every: int, before_validation: int) -> None:
        self._file = file
        self._every = every
        self._before_validation = before_validation
        self._interrupted = False

    @contextmanager
    def awaiting_interruption(self) -> Iterator[None]:
        """Let the first Ctrl-C end training after the step, the second one at once.

        Only the main thread can be told of signals; elsewhere nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _note(self, _number: int, _frame: object) -> None:
        self._interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _log.warning("stopping after this step; once more to stop now, without saving it")

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save where it is time to.

        Raises:
            KeyboardInterrupt: After Ctrl-C, once the state is saved.
        """
        step = trainer.global_step
        due = step % self._every == 0 or step % self._before_validation == 0
        if due or self._interrupted or step == trainer.max_steps:
            trainer.save_checkpoint(self._file)
        if self._interrupted:
            raise KeyboardInterrupt

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End a validation after Ctrl-C: the state before it is saved.

        Raises:
            KeyboardInterrupt: There was one.
        """
        if self._interrupted:
            raise KeyboardInterrupt
