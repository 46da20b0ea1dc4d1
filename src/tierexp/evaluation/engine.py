"""Running a checked evaluation with Lightning.

In: an `EvaluationSetup`. Out: its results, written, printed and logged. Imports torch and
Lightning, which is why nothing of this is in `run`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config import build, resolved
from tierexp.data.datamodule import TierDataModule
from tierexp.evaluation.latency_pass import LatencyPass
from tierexp.evaluation.module import TierEvaluation
from tierexp.evaluation.progress import progress_callback, quiet_lightning
from tierexp.evaluation.provenance import gather_provenance
from tierexp.evaluation.results import EvaluationResults, aggregate, write_results
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
    quiet_lightning()
    seed_everything(setup.seed, workers=True, verbose=False)
    console = Console()
    settings = resolved(config)
    logger: Logger = build(config, "logger", save_dir=output_dir)
    with closing(logger):
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
        module = TierEvaluation(setup)
        logger.log_hyperparams(settings)
        interrupted = _test(trainer, module, _data(setup))
        if interrupted and not module.samples:
            raise KeyboardInterrupt
        samples, latency = module.samples, module.latency
        if setup.latency is not None and setup.latency.passes == "two" and not interrupted:
            timing = LatencyPass(setup.latency, module.model, setup.source.max_new_tokens)
            interrupted = _test(trainer, timing, _data(setup, batch_size=1))
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


def _data(setup: EvaluationSetup, **changes: int) -> TierDataModule:
    settings = dataclasses.asdict(setup.loader) | changes
    return TierDataModule(
        setup.dataset, setup.source, setup.tier, setup.threshold, setup.resize, **settings
    )


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
