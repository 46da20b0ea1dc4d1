"""What training says: the pace after the first steps, and the time that is left."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from lightning import LightningModule, Trainer

from tierexp.training.reporting import FIRST_STEPS, Pace, TrainingLines


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def paced(clock: Clock, seconds: Iterator[float], pace: Pace, steps: int) -> None:
    for _ in range(steps):
        clock.pass_(next(seconds))
        pace.step_done()


def test_nothing_is_said_before_anything_is_known() -> None:
    clock = Clock()
    pace = Pace(validation_every=50, clock=clock)
    assert pace.text(0, 100) == ""
    paced(clock, iter([30.0]), pace, 1)
    assert pace.text(1, 100) == ""  # the first step also fetches, compiles and warms up


def test_the_pace_is_the_mean_of_the_steps_but_the_first() -> None:
    clock = Clock()
    pace = Pace(validation_every=50, clock=clock)
    paced(clock, iter([30.0, 1.0, 2.0, 3.0]), pace, 4)
    assert pace.text(4, 24) == "2 s a step, 40 s left"
    assert pace.text(4, 364) == "2 s a step, 12 min left"
    assert pace.text(4, 5554) == "2 s a step, 3 h 5 min left"


def test_a_phase_with_longer_steps_is_noticed() -> None:
    clock = Clock()
    pace = Pace(validation_every=1000, clock=clock)
    paced(clock, iter([1.0] * 500 + [3.0] * 60), pace, 560)
    assert pace.text(560, 570) == "3 s a step, 30 s left"


def test_validations_are_counted_apart_and_those_to_come_are_in_the_time_left() -> None:
    """100 steps of 2 s, a validation after every 10: after 20 steps 80 and 8 of them are left."""
    clock = Clock()
    pace = Pace(validation_every=10, clock=clock)
    for _ in range(2):
        paced(clock, iter([2.0] * 10), pace, 10)
        pace.validation_begins()
        clock.pass_(25.0)
        pace.validation_done()
    assert pace.text(20, 100) == f"2 s a step, {(80 * 2 + 8 * 25) // 60} min left"


@pytest.mark.parametrize("started", [0, 7])
def test_the_pace_is_said_after_the_first_steps_of_this_part_of_a_run(
    started: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    lines = TrainingLines(every=50, pace=Pace(validation_every=1000, clock=clock))
    trainer, module = Trainer(max_steps=100, logger=False, accelerator="cpu"), LightningModule()
    progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress
    with caplog.at_level(logging.INFO, logger="tierexp"):
        progress.optimizer.step.total.completed = started
        lines.on_train_start(trainer, module)
        while trainer.global_step < 50:
            clock.pass_(0.25)
            progress.optimizer.step.total.completed += 1
            lines.on_train_batch_end(trainer, module, {"loss": 1.5}, None, 0)
    early = started + FIRST_STEPS
    said = [r.getMessage() for r in caplog.records if r.name.startswith("tierexp")]
    assert said == [
        f"training from step {started} to 100",
        f"step {early} of 100, 0.25 s a step, {(100 - early) / 4:.0f} s left",
        "step 50 of 100, loss 1.500, 0.25 s a step, 12 s left",
    ]
