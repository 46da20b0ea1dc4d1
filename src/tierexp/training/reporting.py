"""What a training run says on the console, and what becomes of the losses of an earlier part."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

_log = logging.getLogger(__name__)


class TrainingLines(Callback):
    """Logs where a run starts, its loss now and then, and the accuracies after each validation.

    Args:
        every: Steps between lines with a loss.
    """

    def __init__(self, every: int) -> None:
        self._every = every

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line: the step it starts from."""
        _log.info("training from step %d to %d", trainer.global_step, trainer.max_steps)

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """One line every so many steps."""
        if trainer.global_step % self._every == 0 and isinstance(outputs, Mapping):
            loss = float(outputs["loss"])
            _log.info("step %d of %d, loss %.3f", trainer.global_step, trainer.max_steps, loss)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line: the step, and the accuracy of every validation set."""
        metrics = trainer.callback_metrics
        accuracies = {
            name.removeprefix("validation/accuracy_"): f"{100 * float(value):.1f} %"
            for name, value in metrics.items()
            if name.startswith("validation/accuracy_")
        }
        _log.info(
            "step %d of %d, validation accuracy: %s",
            trainer.global_step,
            trainer.max_steps,
            ", ".join(f"{name} {value}" for name, value in accuracies.items()),
        )


def keep_earlier_losses(file: Path) -> None:
    """Give `metrics.csv` a number, because the CSV logger of a resumed run would delete it."""
    if file.is_file():
        numbered = (file.with_stem(f"{file.stem}-{number}") for number in count(1))
        file.rename(next(name for name in numbered if not name.exists()))
