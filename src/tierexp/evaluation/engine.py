"""Running a checked evaluation with Lightning.

In: an `EvaluationSetup`. Out: its results, written, printed and logged by the first of the
processes that share the run; the others measure their part. Imports torch and Lightning, which is
why nothing of this is in `run`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection
from pathlib import Path

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import build, resolved
from tierexp.config.settings import logged_settings, measured_by
from tierexp.data.datamodule import TierDataModule
from tierexp.data.loader_settings import LoaderSettings
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.finished import finished_run, records_of, worth_another_try
from tierexp.evaluation.journal import Journal
from tierexp.evaluation.latency_pass import LatencyPass
from tierexp.evaluation.module import TierEvaluation
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.report.sample_table import SampleTableLogger, closing, sample_rows
from tierexp.report.summary import print_summary
from tierexp.report.thumbnails import keep_thumbnails, worth_keeping
from tierexp.results.aggregate import aggregate
from tierexp.results.files import write_results
from tierexp.results.provenance import digest_inputs, gather_provenance
from tierexp.results.schema import EvaluationResults
from tierexp.runtime.processes.group import Processes
from tierexp.runtime.processes.run import processes_of
from tierexp.runtime.progress import progress_callback, quiet_lightning
from tierexp.runtime.trainer import EndedBySigterm, build_trainer, interruptible
from tierexp.tiers.policy import expected_tokens


def run_evaluation(
    setup: EvaluationSetup, config: DictConfig, output_dir: Path
) -> EvaluationResults | None:
    """Evaluate, write the results file, print the summary.

    Args:
        setup: What to evaluate.
        config: That the setup was read from; its trainer and logger are built here.
        output_dir: Where the results file and the logger's files go.

    Returns:
        The results; None in a process that is not the first of its run.

    Raises:
        ConfigError: A trainer or a logger that cannot work.
        DataError: An image cannot be read and `data.on_error` is `raise`, or what another process
            has measured is not there.
        MachineError: A full disk, too little memory, or worker processes that are killed again and
            again. What was measured is in the journal.
        SystemExit: With code 1 where every sample failed, or another process of the run has ended.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    console = Console()
    quiet_lightning()
    progress = progress_callback(console, len(setup.dataset))
    trainer = build_trainer(
        config,
        several=True,
        use_distributed_sampler=False,  # it would repeat samples
        logger=False,
        callbacks=[progress, EndedBySigterm()],
        default_root_dir=output_dir,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=isinstance(progress, ProgressBar),
    )
    if setup.latency is not None and trainer.world_size != 1:
        allowed = "off with several processes, which slow one another: time a run on one device"
        raise ConfigError("latency", "on", allowed)
    task = {"settings": resolved(config), "output_dir": str(output_dir.absolute())}
    with processes_of(trainer, task) as processes:
        if processes.first:
            return _lead(setup, config, output_dir, trainer, processes, console)
        _follow(setup, trainer, processes)
        return None


def _follow(setup: EvaluationSetup, trainer: Trainer, processes: Processes) -> None:
    """Measure a part of what the first process decides."""
    decided = processes.decided()
    if decided is None:
        return
    seed_everything(setup.seed, workers=True, verbose=False)
    folder = Path(decided["output_dir"])
    with Journal(folder, decided["depends_on"], setup.resume, processes.rank) as journal:
        data = _remaining(setup, journal, "samples", setup.loader, processes)
        module = TierEvaluation(setup, data, journal, processes)
        processes.meet("ready")
        if _test(trainer, module, data):
            raise KeyboardInterrupt


def _lead(
    setup: EvaluationSetup,
    config: DictConfig,
    output_dir: Path,
    trainer: Trainer,
    processes: Processes,
    console: Console,
) -> EvaluationResults:
    """Decide, measure a part or everything, and tell the world."""
    settings = resolved(config)
    device, inputs = _device(trainer), digest_inputs(setup.dataset, setup.source)
    depends_on = measured_by(settings) | {"device": device, "inputs": inputs}
    finished = finished_run(depends_on, output_dir) if setup.resume else None
    if finished is not None and not worth_another_try(finished[0], setup.dataset):
        # Written again: as strict as this run is, and the newest in its folder, which is compared.
        results, path = finished
        processes.begin(None)
        provenance = dataclasses.replace(results.provenance, config=settings)
        results = dataclasses.replace(results, provenance=provenance)
        write_results(results, path)
        print_summary(results, path, None, console)
        return results
    seed_everything(setup.seed, workers=True, verbose=False)
    at_once = setup.latency is not None and setup.latency.passes == "one"
    loader = _alone(setup) if at_once else setup.loader
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal(output_dir, depends_on, setup.resume))
        if finished is not None and not journal.records:
            journal.take_over(records_of(finished[0], setup.dataset))
        data = _remaining(setup, journal, "samples", loader, processes)
        # After whatever can be refused: it may start a run on a server.
        logger = stack.enter_context(closing(build(config, "logger", save_dir=output_dir)))
        trainer.logger = logger
        module = TierEvaluation(setup, data, journal, processes)
        tokens = expected_tokens(setup.policy, setup.preprocessing.geometry)
        logger.log_hyperparams(logged_settings(settings, setup.policy.name, tokens))
        processes.begin({"output_dir": str(output_dir.absolute()), "depends_on": depends_on})
        # Nobody writes before all have read what an earlier run has left.
        processes.meet("ready")
        interrupted = _test(trainer, module, data)
        if interrupted:
            processes.check()
            processes.end()
            module.collect()
            if not (module.samples and module.loaded):
                raise KeyboardInterrupt
        missing = len(setup.dataset) - len(module.samples) - len(module.failures)
        if missing and not interrupted:
            where = f"{output_dir}: do all processes see the same folder, and the same data?"
            raise DataError(f"{missing} samples of other processes are not in {where}")
        samples, latency = module.samples, module.latency
        if setup.latency is not None and setup.latency.passes == "two" and not interrupted:
            data = _remaining(setup, journal, "timed", _alone(setup), processes, module.failed)
            timing = LatencyPass(
                setup.latency, module.model, setup.source.max_new_tokens, module.points,
                module.turn_to, data, journal,
            )  # fmt: skip
            interrupted = _test(trainer, timing, data)
            latency = timing.results
            samples = [
                dataclasses.replace(sample, latency=timing.samples.get(index))
                for index, sample in module.indexed_samples
            ]
        provenance = dataclasses.replace(
            gather_provenance(settings, setup.seed, device, inputs),
            halved_batches=module.halved_batches,
            server=dict(getattr(module.model, "facts", {})) if module.loaded else {},
        )
        # Answers that are timed are given several times: their speed is not the evaluation's.
        seconds = module.seconds if module.meter is None else None
        results = aggregate(samples, module.failures, module.facts, seconds, provenance, latency)
        path = output_dir / (("interrupted_" if interrupted else "") + results.file_name)
        write_results(results, path)
        if not interrupted:
            journal.remove()
            for part in output_dir.glob("interrupted_*_tier-*.json"):
                part.unlink()  # its samples are in the whole, too
            if finished is not None and finished[1] != path:
                finished[1].unlink()  # as are those from before another try
        _show_samples(setup, module, logger, output_dir)
        if isinstance(logger, SampleTableLogger):
            logger.log_file(path, "results")
        print_summary(results, path, _whereabouts(logger), console)
        if interrupted:
            raise KeyboardInterrupt
        if results.accuracy is None:
            first = results.failures[0]
            raise SystemExit(
                f"error: all {results.num_failed} samples failed, "
                f"the first, {first.sample_id}: {first.reason}"
            )
    return results


def _alone(setup: EvaluationSetup) -> LoaderSettings:
    """How samples that are timed are loaded: one by one, with no worker that takes time from the
    model.
    """
    return dataclasses.replace(setup.loader, batch_size=1, num_workers=0)


def _remaining(
    setup: EvaluationSetup,
    journal: Journal,
    kind: str,
    loader: LoaderSettings,
    processes: Processes,
    left_out: Collection[int] = (),
) -> TierDataModule:
    """The part of this process in what an earlier run has not measured; what failed then is tried
    again.
    """
    done = {int(index) for record in journal.records for index in record.get(kind, {})}
    done |= {*left_out}
    return TierDataModule(
        setup.dataset, setup.source, setup.preprocessing,
        **dataclasses.asdict(loader), done=done, share=(processes.rank, processes.size),
        policy=setup.policy,
    )  # fmt: skip


def _test(trainer: Trainer, module: LightningModule, data: TierDataModule) -> bool:
    """Run the evaluation; whether Ctrl-C ended it."""
    try:
        with interruptible(trainer):
            trainer.test(module, datamodule=data, verbose=False)
    except KeyboardInterrupt:
        return True
    return False


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _show_samples(
    setup: EvaluationSetup, module: TierEvaluation, logger: Logger, output_dir: Path
) -> None:
    """Draw some samples for the logger and for a report."""
    count = logger.table_samples if isinstance(logger, SampleTableLogger) else 0
    measured, mode = module.indexed_samples, setup.preprocessing.resize.crops
    chosen = worth_keeping(measured, count)
    rows = list(sample_rows(setup.dataset, setup.preprocessing, chosen))
    keep_thumbnails(((row.result, row.figure) for row in rows), mode, output_dir)
    if isinstance(logger, SampleTableLogger):
        first = {id(sample) for _, sample in measured[:count]}
        shown = [metric for metric in setup.metrics if metric.tables != "summary"]
        logger.log_sample_table([row for row in rows if id(row.result) in first][:count], shown)


def _whereabouts(logger: Logger) -> str | None:
    if isinstance(logger, SampleTableLogger):
        return logger.whereabouts()
    return logger.log_dir
