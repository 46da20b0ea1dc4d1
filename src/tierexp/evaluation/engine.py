"""Running a checked evaluation with Lightning.

In: an `EvaluationSetup`. Out: its results, written, printed and logged. Imports torch and
Lightning, which is why nothing of this is in `run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config import build, resolved
from tierexp.data.datamodule import TierDataModule
from tierexp.errors import ConfigError
from tierexp.evaluation.module import TierEvaluation
from tierexp.evaluation.progress import progress_callback, quiet_lightning
from tierexp.evaluation.provenance import gather_provenance
from tierexp.evaluation.results import EvaluationResults, aggregate, write_results
from tierexp.evaluation.sample_table import SampleTableLogger, sample_rows
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.evaluation.summary import print_summary


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
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    quiet_lightning()
    seed_everything(setup.seed, workers=True, verbose=False)
    console = Console()
    settings = resolved(config)
    logger: Logger = build(config, "logger", save_dir=output_dir)
    with _closing(logger):
        progress = progress_callback(console, len(setup.dataset))
        trainer = _trainer(config, logger, progress, output_dir)
        data = TierDataModule(
            setup.dataset, setup.source, setup.tier, setup.threshold, setup.resize,
            **dataclasses.asdict(setup.loader),
        )  # fmt: skip
        module = TierEvaluation(setup)
        logger.log_hyperparams(settings)
        interrupted = _test(trainer, module, data)
        if interrupted and not module.samples:
            raise KeyboardInterrupt
        provenance = gather_provenance(settings, setup.seed, _device(trainer))
        results = aggregate(
            module.samples, module.failures, module.facts, module.seconds, provenance
        )
        path = output_dir / (("interrupted_" if interrupted else "") + results.file_name)
        write_results(results, path)
        if isinstance(logger, SampleTableLogger):
            shown = module.indexed_samples[: logger.table_samples]
            logger.log_sample_table(list(sample_rows(setup, shown)))
        whereabouts = _whereabouts(logger)
    print_summary(results, path, whereabouts, console)
    if interrupted:
        raise KeyboardInterrupt
    return results


def _test(trainer: Trainer, module: TierEvaluation, data: TierDataModule) -> bool:
    """Run the evaluation; whether Ctrl-C ended it, which Lightning turns into an exit."""
    try:
        trainer.test(module, datamodule=data, verbose=False)
    except SystemExit:
        if not trainer.interrupted:
            raise
        return True
    return False


def _trainer(config: DictConfig, logger: Logger, progress: Callback, output_dir: Path) -> Trainer:
    accelerator = config.trainer.get("accelerator")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator", accelerator, "cpu or auto: there is no GPU here")
    try:
        trainer: Trainer = build(
            config,
            "trainer",
            logger=logger,
            callbacks=[progress],
            default_root_dir=output_dir,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=isinstance(progress, ProgressBar),
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        chosen = resolved(config.trainer)
        del chosen["_target_"]
        raise ConfigError("trainer", chosen, str(error)) from error
    if trainer.world_size != 1:
        raise ConfigError(
            "trainer.devices", config.trainer.devices, "1: one evaluation runs on one device"
        )
    return trainer


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


@contextmanager
def _closing(logger: Logger) -> Iterator[None]:
    """Close a W&B run whatever happens, so that the next run of a multirun is not added to it."""
    try:
        yield
    except BaseException:
        if isinstance(logger, SampleTableLogger):
            logger.finish(exit_code=1)
        raise
    if isinstance(logger, SampleTableLogger):
        logger.finish(exit_code=0)


def _whereabouts(logger: Logger) -> str | None:
    if isinstance(logger, SampleTableLogger):
        return logger.whereabouts()
    return logger.log_dir
