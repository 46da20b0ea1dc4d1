"""How a long run is doing, for whoever watches its logger while it goes on.

In: what an evaluation has measured so far. Out: metrics under `progress/...`, every few seconds, by
the number of samples. What is logged at the end, under `test/...`, does not depend on them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import perf_counter
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch
from tierexp.evaluation.module import TierEvaluation
from tierexp.results.schema import SampleResult

SECONDS = 10.0
"""Between two rows of metrics; a run that takes less logs none."""


_TOKENS = ("selected_vision_tokens", "llm_vision_tokens")


class RunningMetrics(Callback):
    """Logs accuracy, tokens and speed so far; of several processes, the first tells of its own."""

    def __init__(self) -> None:
        self._started = self._last = 0.0
        self._before = self._added = 0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._last = perf_counter()
        if isinstance(pl_module, TierEvaluation):
            self._before = pl_module.num_samples

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
        count = pl_module.num_samples
        if not count:
            return
        self._last = now
        new, seconds = count - self._before, now - self._started
        for sample in pl_module.samples_since(self._added):
            self._add(sample)
        self._added = count
        metrics = {
            "num_samples": float(count),
            "num_failed": float(len(pl_module.failures)),
            "accuracy": self._sums["accuracy"] / self._counts["accuracy"],
            "samples_per_second": new / seconds,
        }
        for name in _TOKENS:
            metrics[f"{name}_mean"] = self._sums[name] / max(1, self._counts[name])
        tokens = metrics["llm_vision_tokens_mean"]
        metrics["vision_tokens_per_second"] = tokens * new / seconds
        logged = {f"progress/{name}": figure for name, figure in metrics.items()}
        trainer.logger.log_metrics(logged, step=count)
        trainer.logger.save()

    def _add(self, sample: SampleResult) -> None:
        """Count a sample in: what is logged does not take longer as a run goes on."""
        values = {"accuracy": sample.accuracy, **{n: sample.metrics.get(n) for n in _TOKENS}}
        for name, value in values.items():
            if value is not None:
                self._sums[name] += value
                self._counts[name] += 1
