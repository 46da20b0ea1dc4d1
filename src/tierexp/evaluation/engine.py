"""Running a checked evaluation with Lightning.

In: an `EvaluationSetup`. Out: its results, written, printed and logged. Imports torch and
Lightning, which is why nothing of this is in `run`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config import build, resolved
from tierexp.data.datamodule import TierDataModule
from tierexp.evaluation.journal import Journal
from tierexp.evaluation.latency_pass import LatencyPass
from tierexp.evaluation.module import TierEvaluation
from tierexp.evaluation.progress import progress_callback, quiet_lightning
from tierexp.evaluation.provenance import gather_provenance
from tierexp.evaluation.results import (
    EvaluationResults,
    aggregate,
    complete_results,
    load_results,
    write_results,
)
from tierexp.evaluation.sample_table import SampleTableLogger, closing, sample_rows
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.evaluation.summary import print_summary
from tierexp.evaluation.trainer import build_trainer, interruptible


def run_evaluation(
    setup: EvaluationSetup, config: DictConfig, output_dir: Path
) -> EvaluationResults:
    """Evaluate, write the results file, print the summary.

    Args:
        setup: What to evaluate.
        config: That the setup was read from; its trainer and logger are built here.
        output_dir: Where the results file and the logger's files go.

    Raises:
        ConfigError: A trainer or a logger that cannot work.
        DataError: An image cannot be read and `data.on_error` is `raise`.
        SystemExit: With code 1 where every sample failed.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    console = Console()
    settings = resolved(config)
    finished = _finished_run(settings, output_dir) if setup.resume else None
    if finished is not None:
        results, path = finished
        print_summary(results, path, None, console)
        return results
    quiet_lightning()
    seed_everything(setup.seed, workers=True, verbose=False)
    journal = Journal(output_dir, measured_by(settings), setup.resume)
    logger: Logger = build(config, "logger", save_dir=output_dir)
    with closing(logger), contextlib.closing(journal):
        progress = progress_callback(console, len(setup.dataset))
        trainer = build_trainer(
            config,
            logger=logger,
            callbacks=[progress],
            default_root_dir=output_dir,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=isinstance(progress, ProgressBar),
        )
        data = _remaining(setup, journal, "samples", setup.loader.batch_size)
        module = TierEvaluation(setup, journal)
        logger.log_hyperparams(settings)
        interrupted = _test(trainer, module, data)
        if interrupted and not (module.samples and module.loaded):
            raise KeyboardInterrupt
        samples, latency = module.samples, module.latency
        if setup.latency is not None and setup.latency.passes == "two" and not interrupted:
            data = _remaining(setup, journal, "timed", batch_size=1)
            limit = setup.source.max_new_tokens
            timing = LatencyPass(setup.latency, module.model, limit, journal)
            interrupted = _test(trainer, timing, data)
            latency = timing.results
            samples = [
                dataclasses.replace(sample, latency=timing.samples.get(index))
                for index, sample in module.indexed_samples
            ]
        provenance = gather_provenance(settings, setup.seed, _device(trainer))
        results = aggregate(
            samples, module.failures, module.facts, module.seconds, provenance, latency
        )
        path = output_dir / (("interrupted_" if interrupted else "") + results.file_name)
        write_results(results, path)
        if not interrupted:
            journal.remove()
            for part in output_dir.glob("interrupted_*_tier-*.json"):
                part.unlink()  # its samples are in the whole, too
        if isinstance(logger, SampleTableLogger):
            shown = module.indexed_samples[: logger.table_samples]
            logger.log_sample_table(list(sample_rows(setup, shown)))
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


_BESIDE = (
    "output_dir", "resume", "run_name", "logger", "trainer", "validate", "data.num_workers",
)  # fmt: skip
"""Settings that no measurement depends on."""


def measured_by(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that measurements depend on: those that a run has to share to go on."""
    part = {key: value for key, value in settings.items() if key not in _BESIDE}
    part["data"] = {k: v for k, v in part["data"].items() if f"data.{k}" not in _BESIDE}
    return part


def _finished_run(settings: dict[str, Any], folder: Path) -> tuple[EvaluationResults, Path] | None:
    """The results that a run with these settings has left in a folder, as in a multirun that was
    interrupted in a later run.
    """
    wanted = json.loads(json.dumps(measured_by(settings)))
    for path in complete_results(folder):
        results = load_results(path)
        if results.accuracy is not None and measured_by(results.provenance.config) == wanted:
            return results, path
    return None


def _remaining(
    setup: EvaluationSetup, journal: Journal, kind: str, batch_size: int
) -> TierDataModule:
    """What an earlier run has not measured. Where it has measured everything, its last record is
    forgotten: Lightning logs nothing of a pass without batches.
    """
    settings = dataclasses.asdict(setup.loader) | {"batch_size": batch_size}
    while True:
        records = [record for record in journal.records if kind in record]
        done = {int(index) for record in records for index in record[kind]}
        done |= {int(index) for record in journal.records for index in record.get("failures", {})}
        data = TierDataModule(
            setup.dataset, setup.source, setup.tier, setup.threshold, setup.resize,
            **settings, done=done,
        )  # fmt: skip
        if data.batches or not records:
            return data
        journal.records.remove(records[-1])


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


def _whereabouts(logger: Logger) -> str | None:
    if isinstance(logger, SampleTableLogger):
        return logger.whereabouts()
    return logger.log_dir
