"""How far an evaluation is: a bar on a terminal, short lines in a log file or a pipe."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch
from tierexp.data.datamodule import TierDataModule

_log = logging.getLogger(__name__)


def progress_callback(console: Console, num_samples: int) -> Callback:
    """A progress bar where the console is a terminal, lines elsewhere.

    Args:
        console: That the run writes to.
        num_samples: To evaluate, those included that an earlier run has measured.
    """
    return RichProgressBar(leave=True) if console.is_terminal else ProgressLines(num_samples)


class ProgressLines(Callback):
    """Logs a line when another tenth of the samples is done; of several processes, the first tells
    of its own.

    Args:
        num_samples: To evaluate, those included that an earlier run has measured.
    """

    def __init__(self, num_samples: int) -> None:
        self._total = num_samples
        self._whose = ""
        self._before = self._done = 0
        self._tenths = 0
        self._started = 0.0

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and count from what is done already: a run may have two passes, each
        the rest of an earlier one.
        """
        self._started = perf_counter()
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, TierDataModule)
        left = sum(map(len, data.batches))
        if trainer.world_size > 1:
            self._total, self._whose = left, f" of the first of {trainer.world_size} processes"
        self._before = self._done = self._total - left
        self._tenths = 10 * self._done // max(1, self._total)

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch, where the run is this process's to tell of."""
        if not trainer.is_global_zero:
            return
        self._done += len(batch.prepared) + len(batch.failures)
        tenths = 10 * self._done // max(1, self._total)
        if tenths == self._tenths:
            return
        self._tenths = tenths
        seconds = perf_counter() - self._started
        speed = (self._done - self._before) / seconds
        _log.info(
            "%d of %d samples%s, %.1f per second, %.0f s left",
            self._done, self._total, self._whose, speed, (self._total - self._done) / speed,
        )  # fmt: skip
