"""How a long run is doing, for whoever watches its logger while it goes on.

In: what an evaluation has measured so far. Out: metrics under `progress/...`, every few seconds, by
the number of samples. What is logged at the end, under `test/...`, does not depend on them.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch
from tierexp.evaluation.module import TierEvaluation

SECONDS = 10.0
"""Between two rows of metrics; a run that takes less logs none."""


_TOKENS = ("selected_vision_tokens", "llm_vision_tokens")


class RunningMetrics(Callback):
    """Logs accuracy, tokens and speed so far; of several processes, the first tells of its own."""

    def __init__(self) -> None:
        self._started = self._last = 0.0
        self._before = 0

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._last = perf_counter()
        if isinstance(pl_module, TierEvaluation):
            self._before = len(pl_module.samples)

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
        """Log another row where it is time."""
        now = perf_counter()
        if trainer.logger is None or now - self._last < SECONDS:
            return
        # A second pass times what has been scored: it has nothing new to tell.
        if not isinstance(pl_module, TierEvaluation):
            return
        samples = pl_module.samples  # sorted anew by every look
        if not samples:
            return
        self._last = now
        new, seconds = len(samples) - self._before, now - self._started
        metrics = {
            "num_samples": float(len(samples)),
            "num_failed": float(len(pl_module.failures)),
            "accuracy": float(np.mean([sample.accuracy for sample in samples])),
            "samples_per_second": new / seconds,
        }
        for name in _TOKENS:
            counts = [sample.metrics.get(name) for sample in samples]
            metrics[f"{name}_mean"] = float(
                np.mean([count for count in counts if count is not None])
            )
        tokens = metrics["llm_vision_tokens_mean"]
        metrics["vision_tokens_per_second"] = tokens * new / seconds
        logged = {f"progress/{name}": figure for name, figure in metrics.items()}
        trainer.logger.log_metrics(logged, step=len(samples))
        trainer.logger.save()
