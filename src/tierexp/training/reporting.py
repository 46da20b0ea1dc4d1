"""What a training run says on the console, and what becomes of the losses of an earlier part."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

_log = logging.getLogger(__name__)


FIRST_STEPS = 4
"""After so many steps of a run its pace is said; the first, which is slower, does not count."""
LATEST_STEPS = 50
"""So many tell the pace."""


class Pace:
    """How long steps and validations take, and how long a training run will go on.

    Args:
        validation_every: Steps from one validation to the next.
        clock: Seconds since whenever.
    """

    def __init__(self, validation_every: int, clock: Callable[[], float] = perf_counter) -> None:
        self._validation_every = validation_every
        self._clock = clock
        self._last = self._validation_began = 0.0
        self._begun = False
        # The phases of a recipe differ in what a step takes: the latest say most of the next.
        self._steps = deque[float](maxlen=LATEST_STEPS)
        self._validations = deque[float](maxlen=LATEST_STEPS)

    def step_done(self) -> None:
        """A step has ended; what lay before it since the last one, validations aside, was it."""
        now = self._clock()
        if self._begun:
            self._steps.append(now - self._last)
        self._begun, self._last = True, now

    def validation_begins(self) -> None:
        """A validation starts."""
        self._validation_began = self._clock()

    def validation_done(self) -> None:
        """It has ended."""
        seconds = self._clock() - self._validation_began
        self._validations.append(seconds)
        self._last += seconds  # it is no part of the step that follows

    def text(self, step: int, steps: int) -> str:
        """Seconds a step, and the time left; empty while nothing is known.

        Args:
            step: Steps that are done, those of an earlier part of the run included.
            steps: Steps of the whole run.
        """
        if not self._steps:
            return ""
        per_step = fmean(self._steps)
        left = per_step * (steps - step)
        if self._validations:
            every = self._validation_every
            to_come = steps // every - step // every
            left += to_come * fmean(self._validations)
        return f"{per_step:.3g} s a step, {_duration(left)} left"


class TrainingLines(Callback):
    """Logs where a run starts, its pace after the first steps, its loss now and then, and the
    accuracies after each validation.

    Args:
        every: Steps between lines with a loss.
        pace: Pace of the run.
    """

    def __init__(self, every: int, pace: Pace) -> None:
        self._every = every
        self._pace = pace
        self._started_from = 0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line: the step it starts from."""
        self._started_from = trainer.global_step
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
        """One line after the first steps, and one every so many."""
        self._pace.step_done()
        step, steps = trainer.global_step, trainer.max_steps
        pace = self._pace.text(step, steps)
        if step % self._every == 0 and isinstance(outputs, Mapping):
            loss = f"loss {float(outputs['loss']):.3f}"
            _log.info("step %d of %d, %s", step, steps, ", ".join(filter(None, (loss, pace))))
        elif step == self._started_from + FIRST_STEPS:
            _log.info("step %d of %d, %s", step, steps, pace)

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._pace.validation_begins()

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line: the step, and the accuracy of every validation set."""
        self._pace.validation_done()
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


def _duration(seconds: float) -> str:
    """Two units at most: `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
