"""What the first process of a run does beyond measuring: find what is finished, and finalise.

In: a run. Out: its results, in a file, on the console and in a logger.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from rich.console import Console

from tierexp.config.build import Blueprint
from tierexp.config.settings import logged_settings, resume_key
from tierexp.errors import ConfigError
from tierexp.evaluation.finished import finished_run, records_of, worth_another_try
from tierexp.evaluation.journal import Journal, remove_journals
from tierexp.evaluation.measure import Measured, Run, measure, samples_left
from tierexp.evaluation.policy_budget import spending_metrics, with_spending
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.report.sample_table import SampleTableLogger, sample_rows
from tierexp.report.summary import print_summary
from tierexp.report.thumbnails import keep_thumbnails, worth_keeping
from tierexp.results.aggregate import aggregate
from tierexp.results.columns import ColumnsBeingWritten, columns_file, wanted_columns
from tierexp.results.files import finished_results, sample_lines, write_results
from tierexp.results.provenance import checkpoint_of, digest_inputs, gather_provenance
from tierexp.results.schema import EvaluationResults, Provenance
from tierexp.results.versions import code_versions, version_changes
from tierexp.runtime.closing import closing
from tierexp.tiers.policy import expected_tokens

_log = logging.getLogger(__name__)

Finished = tuple[EvaluationResults, Path]
"""Results, and the file that holds them."""


def lead(run: Run, console: Console) -> EvaluationResults:
    """Decide what is to be measured, have it measured, and tell the world.

    Args:
        run: In its first process.
        console: To print to.

    Raises:
        ConfigError: A logger that cannot work, or an unfinished run of other settings.
        DataError: As `measure`.
        SystemExit: With code 1 where every sample failed.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    setup = run.setup
    provenance, before = _provenance(run), finished_results(run.folder)
    key = {**resume_key(setup.settings), "device": provenance.device, "inputs": provenance.inputs}
    earlier = finished_run(key, run.folder) if setup.resume else None
    if earlier is not None:
        _say_versions(earlier[0].provenance, provenance)
        scored = earlier[0].accuracy is not None
        if scored and not worth_another_try(earlier[0], setup.dataset):
            run.processes.broadcast(None)
            return _written_again(earlier, setup.settings, console)
    seed_everything(setup.seed, workers=True, verbose=False)
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(_open_journal(run, key, provenance, earlier))
        data = samples_left(run, journal)
        stack.enter_context(data.begun())  # while the logger starts and weights are read
        # After whatever can be refused: it may start a run on a server.
        assert setup.logger is not None
        logger = stack.enter_context(closing(_logger(setup.logger, run.folder)))
        run.trainer.logger = logger
        logger.log_hyperparams(_hyperparameters(setup))
        run.processes.broadcast(
            {
                "output_dir": str(run.folder.absolute()),
                "resume_key": key,
                "versions": code_versions(provenance),
            }
        )
        measured = measure(run, journal, data)
        superseded = before if setup.overwrite else [] if earlier is None else [earlier[1]]
        with _written(run, measured, provenance, journal, superseded) as (results, path):
            if results.policies:
                logger.log_metrics(spending_metrics(results))
            _show_samples(run, measured, path, logger)
            print_summary(results, path, _whereabouts(logger), console)
        if measured.interrupted:
            raise KeyboardInterrupt
        _refuse_failure(results)
    return results


def _logger(blueprint: Blueprint, folder: Path) -> Logger:
    """The logger, or one line about what is none, whoever wrote its class."""
    made = blueprint(save_dir=folder)
    if not isinstance(made, Logger):
        target = blueprint.settings["_target_"]
        raise ConfigError("logger._target_", target, "a logger of Lightning's")
    return made


def _provenance(run: Run) -> Provenance:
    setup, device = run.setup, _device(run.trainer)
    inputs = digest_inputs(setup.dataset, setup.source)
    return gather_provenance(
        setup.settings, setup.seed, device, inputs, checkpoint_of(setup.source)
    )


def _say_versions(before: Provenance, now: Provenance) -> None:
    changes = version_changes(code_versions(before), code_versions(now))
    if changes:
        _log.warning("the results that are there were measured by other versions: %s", changes)


def _written_again(
    earlier: Finished, settings: dict[str, Any], console: Console
) -> EvaluationResults:
    """Results that were there: as strict as this run is, and the newest in their folder, which is
    compared.
    """
    results, path = earlier
    provenance = dataclasses.replace(results.provenance, config=settings)
    results = dataclasses.replace(results, provenance=provenance)
    write_results(results, path)
    print_summary(results, path, None, console)
    return results


def _open_journal(
    run: Run, key: Mapping[str, Any], provenance: Provenance, earlier: Finished | None
) -> Journal:
    """The journal of this process, with what an earlier run has measured."""
    if run.setup.overwrite:
        remove_journals(run.folder)
    journal = Journal(run.folder, key, run.setup.resume, versions=code_versions(provenance))
    if earlier is not None and not journal.records:
        journal.take_over(records_of(earlier[0], run.setup.dataset))
    return journal


@contextlib.contextmanager
def _written(
    run: Run,
    measured: Measured,
    provenance: Provenance,
    journal: Journal,
    superseded: Sequence[Path],
) -> Iterator[Finished]:
    """The results and their file; what they supersede, and what was unfinished, is gone. At the end
    of the block their columns are there, too, where they are wanted.
    """
    wanted = wanted_columns(run.setup.columns, len(measured.samples)) and not measured.interrupted
    with contextlib.ExitStack() as stack:

        def begin() -> tuple[Path, ColumnsBeingWritten | None]:
            lines = stack.enter_context(sample_lines(measured.samples, run.folder))
            return lines, stack.enter_context(ColumnsBeingWritten(lines)) if wanted else None

        # Most of aggregating is drawing images, which leaves Python to another thread. If it fails
        # before that is through, leaving the pool waits, and what was begun meanwhile is left next.
        begun = stack.enter_context(ThreadPoolExecutor(1)).submit(begin)
        results = _aggregate(run, measured, provenance)
        lines, columns = begun.result()
        path = run.folder / (("interrupted_" if measured.interrupted else "") + results.file_name)
        write_results(results, path, lines)
        columns_file(path).unlink(missing_ok=True)  # of what was there before
        if columns is not None:
            columns.belong_to(path)
        if not measured.interrupted:
            journal.remove()
            for part in run.folder.glob("interrupted_*_tier-*.json"):
                part.unlink()  # its samples are in the whole, too
            for file in superseded:
                if file != path:
                    file.unlink(missing_ok=True)
                    columns_file(file).unlink(missing_ok=True)
        yield results, path


def _aggregate(run: Run, measured: Measured, provenance: Provenance) -> EvaluationResults:
    results = aggregate(
        measured.samples,
        measured.failures,
        measured.facts,
        measured.seconds,
        dataclasses.replace(
            provenance, halved_batches=measured.halved_batches, server=dict(measured.server)
        ),
        measured.latency,
    )
    return with_spending(results, run.setup.policy, run.setup.dataset)


def _hyperparameters(setup: EvaluationSetup) -> dict[str, Any]:
    tokens = expected_tokens(setup.policy, setup.preprocessing.geometry)
    return logged_settings(setup.settings, setup.policy.name, tokens)


def _show_samples(run: Run, measured: Measured, path: Path, logger: Logger) -> None:
    """Draw some samples for the logger and for a report."""
    setup, samples = run.setup, measured.samples
    count = logger.table_samples if isinstance(logger, SampleTableLogger) else 0
    chosen = [(measured.places[at], samples[at]) for at in worth_keeping(samples, count)]
    rows = list(sample_rows(setup.dataset, setup.preprocessing, chosen))
    mode = setup.preprocessing.resize.crops
    keep_thumbnails(((row.result, row.figure) for row in rows), mode, run.folder)
    if isinstance(logger, SampleTableLogger):
        first = {id(sample) for sample in samples[:count]}
        shown = [metric for metric in setup.metrics if metric.tables != "summary"]
        logger.log_sample_table([row for row in rows if id(row.result) in first][:count], shown)
        logger.log_file(path, "results")


def _refuse_failure(results: EvaluationResults) -> None:
    if results.accuracy is None:
        first = results.failures[0]
        raise SystemExit(
            f"error: all {results.num_failed} samples failed, "
            f"the first, {first.sample_id}: {first.reason}"
        )


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _whereabouts(logger: Logger) -> str | None:
    if isinstance(logger, SampleTableLogger):
        return logger.whereabouts()
    return logger.log_dir
