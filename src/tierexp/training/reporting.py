"""What a training run says on the console: a line per validation."""

from __future__ import annotations

import logging

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

_log = logging.getLogger(__name__)


class ValidationLines(Callback):
    """Logs the accuracies after each validation."""

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
