"""Measuring: the passes over a data set, in each of the processes that share a run.

In: a run, and a journal of what is measured already. Out: what was measured, the first process's
collected from all. Knows nothing of results files, loggers or consoles.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer, seed_everything

from tierexp.data.datamodule import TierDataModule
from tierexp.data.loader_settings import LoaderSettings
from tierexp.errors import DataError
from tierexp.evaluation.journal import Journal
from tierexp.evaluation.latency_pass import LatencyPass
from tierexp.evaluation.module import TierEvaluation
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.results.latency import LatencyResults
from tierexp.results.schema import Failure, RunFacts, SampleResult
from tierexp.runtime.processes.group import Processes
from tierexp.runtime.trainer import interruptible


@dataclass(frozen=True)
class Run:
    """A run as one of its processes sees it.

    Args:
        setup: What to evaluate.
        folder: Where everything goes that it writes.
        trainer: Trainer of this process.
        processes: That share the run.
    """

    setup: EvaluationSetup
    folder: Path
    trainer: Trainer
    processes: Processes


@dataclass(frozen=True)
class Measured:
    """What a run has measured, all of it or as far as it got.

    Args:
        places: In the data set, ascending.
        samples: What was measured there, in the same order.
        failures: In the data set's order.
        facts: What holds for every sample.
        latency: Statistics of the samples; None where nothing was timed.
        seconds: The answers took; None where that says nothing of the model's speed.
        halved_batches: How many batches did not fit into memory.
        server: What was found out about the server that answered; empty without one.
        interrupted: Whether Ctrl-C ended it.
    """

    places: Sequence[int]
    samples: tuple[SampleResult, ...]
    failures: tuple[Failure, ...]
    facts: RunFacts
    latency: LatencyResults | None
    seconds: float | None
    halved_batches: int
    server: Mapping[str, Any]
    interrupted: bool


def follow(run: Run) -> None:
    """Measure a part of what the first process decides.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
    """
    decided = run.processes.receive()
    if decided is None:
        return
    seed_everything(run.setup.seed, workers=True, verbose=False)
    folder, key = Path(decided["output_dir"]), decided["resume_key"]
    with Journal(folder, key, run.setup.resume, run.processes.rank, decided["versions"]) as journal:
        data = samples_left(run, journal)
        module = TierEvaluation(run.setup, data, journal, run.processes)
        run.processes.barrier("ready")
        if _test(run.trainer, module, data):
            raise KeyboardInterrupt


def measure(run: Run, journal: Journal, data: TierDataModule) -> Measured:
    """Measure this process's part, and collect what the others have measured.

    Args:
        run: In its first process, after the others were told what to do.
        journal: Journal of this process.
        data: What is left of the data set, as from `samples_left`.

    Raises:
        DataError: What another process has measured is not there.
        KeyboardInterrupt: After Ctrl-C, where there is nothing yet to write down.
    """
    setup, processes = run.setup, run.processes
    module = TierEvaluation(setup, data, journal, processes)
    # Nobody writes before all have read what an earlier run has left.
    processes.barrier("ready")
    interrupted = _test(run.trainer, module, data)
    if interrupted:
        processes.check()
        processes.end()
        module.collect()
        if not (module.samples and module.loaded):
            raise KeyboardInterrupt
    missing = len(setup.dataset) - len(module.samples) - len(module.failures)
    if missing and not interrupted:
        where = f"{run.folder}: do all processes see the same folder, and the same data?"
        raise DataError(f"{missing} samples of other processes are not in {where}")
    measured = Measured(
        places=array("q", module.places),
        samples=tuple(module.samples),
        failures=tuple(module.failures),
        facts=module.facts,
        latency=module.latency,
        # Answers that are timed are given several times: their speed is not the evaluation's.
        seconds=module.seconds if module.meter is None else None,
        halved_batches=module.halved_batches,
        server=getattr(module.model, "facts", {}) if module.loaded else {},
        interrupted=interrupted,
    )
    if setup.latency is None or setup.latency.passes == "one" or interrupted:
        return measured
    return _timed(run, journal, measured, module)


def samples_left(run: Run, journal: Journal) -> TierDataModule:
    """What is left to this process of what no earlier run has answered; failures count as left."""
    latency = run.setup.latency
    at_once = latency is not None and latency.passes == "one"
    loader = _alone(run.setup) if at_once else run.setup.loader
    return _left(run, loader, journal.places("samples"))


def _timed(run: Run, journal: Journal, measured: Measured, module: TierEvaluation) -> Measured:
    """The same with latencies, from a second pass in which every sample is answered alone."""
    settings = run.setup.latency
    assert settings is not None
    data = _left(run, _alone(run.setup), journal.places("timed") | module.failed)
    timing = LatencyPass(
        settings, module.model, run.setup.source.max_new_tokens, module.points, module.turn_to,
        data, journal,
    )  # fmt: skip
    interrupted = _test(run.trainer, timing, data)
    samples = tuple(
        dataclasses.replace(sample, latency=timing.samples.get(index))
        for index, sample in zip(measured.places, measured.samples, strict=True)
    )
    return dataclasses.replace(
        measured, samples=samples, latency=timing.results, interrupted=interrupted
    )


def _alone(setup: EvaluationSetup) -> LoaderSettings:
    """How samples that are timed are loaded: one by one, with no worker that takes time from the
    model.
    """
    return dataclasses.replace(setup.loader, batch_size=1, num_workers=0)


def _left(run: Run, loader: LoaderSettings, done: Collection[int]) -> TierDataModule:
    setup, processes = run.setup, run.processes
    return TierDataModule(
        setup.dataset, setup.source, setup.preprocessing,
        **dataclasses.asdict(loader), done=done, shard=(processes.rank, processes.size),
        policy=setup.policy,
    )  # fmt: skip


def _test(trainer: Trainer, module: LightningModule, data: TierDataModule) -> bool:
    """Run a pass; whether Ctrl-C ended it."""
    try:
        with interruptible(trainer):
            trainer.test(module, datamodule=data, verbose=False)
    except KeyboardInterrupt:
        return True
    return False
