"""What runs that belong together say together: a table, the targets, and a file.

In: the folders of a multirun's runs, or results that were read elsewhere. Out: one line per run on
the console, the checks that take more than one run, and `comparison.json`; the exit code of a
strict run. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SQUARE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tierexp.errors.machine import writing
from tierexp.report.compared import ComparedRun, compared, compared_model_free
from tierexp.report.targets_table import checks_table
from tierexp.report.varying import comparable, varying
from tierexp.results.check import Check
from tierexp.results.files import (
    complete_results,
    is_model_free,
    load_head,
    load_results,
    model_free_results,
    runs_in,
)
from tierexp.results.metrics import number_text, percent_text
from tierexp.results.model_free import load_model_free_results
from tierexp.results.schema import EvaluationResults
from tierexp.results.targets.sweep_checks import check_sweep

FILE_NAME = "comparison.json"
MISSED = 3
"""Exit code of a strict run that missed a target."""


def runs_below(folder: Path) -> list[EvaluationResults]:
    """The results files of complete runs with a model in a folder or anywhere below it.

    Args:
        folder: Folder of a run, of a multirun, or of several.

    Raises:
        DataError: A results file is damaged.
    """
    return [load_results(file) for inner in runs_in(folder) for file in complete_results(inner)]


def compared_below(folder: Path) -> list[ComparedRun]:
    """All complete runs in a folder or anywhere below it, those with a model first.

    Args:
        folder: See `runs_below`, with the same errors.
    """
    without = [file for inner in runs_in(folder) for file in model_free_results(inner)]
    found = [compared(run) for run in runs_below(folder)]
    return found + [compared_model_free(load_model_free_results(file)) for file in without]


def finish(folders: Sequence[Path]) -> None:
    """What a command does when its runs are done: compare them, and be strict where asked.

    Args:
        folders: Folders of the runs, in the order they ran.

    Raises:
        DataError: A results file is damaged.
        SystemExit: With code 3 where a target was missed and `validate.strict` is true.
    """
    # Earlier runs into the same folder are none of these.
    files = [file for folder in folders for file in _newest(folder)]
    runs = [_read(file, alone=len(files) == 1) for file in files]
    judged = [run.results for run in runs if run.results is not None]
    found = [(f"{check.name} ({run.tier})", check) for run in judged for check in run.validation]
    if len(runs) > 1:
        file = Path(os.path.commonpath(folders)) / FILE_NAME
        found += [(check.name, check) for check in compare(runs, file, Console())]
    missed = [name for name, check in found if not check.met]
    if missed and any(run.provenance.config["validate"]["strict"] for run in judged):
        sys.stderr.write(f"{len(missed)} of {len(found)} targets missed: {', '.join(missed)}\n")
        raise SystemExit(MISSED)


def compare(runs: Sequence[ComparedRun], file: Path, console: Console) -> tuple[Check, ...]:
    """Print how runs compare and write the same to a file.

    Args:
        runs: At least two, in the order they ran.
        file: To write, JSON.
        console: To print to.

    Returns:
        The checks between runs; none where they differ in more than the crop policy. Runs without
        a model and older results are listed and not judged: the ones have no samples, the others
        do not say on which images, nor of which model.

    Raises:
        MachineError: The file cannot be written.
    """
    judged = [run for run in runs if run.results is not None]
    results = [run.results for run in judged if run.results is not None]
    between = check_sweep(results) if comparable(judged) else ()
    console.print(runs_table(runs))
    if between:
        console.print(checks_table(between))
    content = {
        "schema_version": 2,
        "runs": [run.content for run in runs],
        "validation": [dataclasses.asdict(check) | {"met": check.met} for check in between],
    }
    with writing(file):
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(Text(f"comparison  {file}"), soft_wrap=True)
    return between


def runs_table(runs: Sequence[ComparedRun]) -> Table:
    """One line per run."""
    table = Table(title="comparison", title_justify="left", box=SQUARE)
    table.add_column("tier", no_wrap=True)
    columns = varying(runs)
    reduced = any("reduction" in run.other_knobs for run in runs)
    metrics = {
        m.name: m
        for run in runs
        for m in run.metrics
        if m.tables == "all" or (reduced and m.name == "llm_vision_tokens")
    }
    scored = any(run.accuracy is not None for run in runs)
    timed = any(run.total_ms is not None for run in runs)
    titles = [*columns, *(metric.title for metric in metrics.values())]
    titles += ["accuracy (95 %)"] if scored else []
    titles += ["T_total ms"] if timed else []
    for title in titles:
        table.add_column(title, justify="right", overflow="fold")
    for number, run in enumerate(runs):
        cells = [run.tier, *(values[number] for values in columns.values())]
        cells += [m.text(run.aggregates.get(m.field("mean"))) for m in metrics.values()]
        cells += [_accuracy_text(run)] if scored else []
        cells += [number_text(run.total_ms, 1)] if timed else []
        table.add_row(*map(Text, cells))
    return table


def _newest(folder: Path) -> list[Path]:
    every = complete_results(folder) + model_free_results(folder)
    return sorted(every, key=lambda file: file.stat().st_mtime_ns)[-1:]


def _read(file: Path, alone: bool) -> ComparedRun:
    if is_model_free(file):
        return compared_model_free(load_model_free_results(file))
    return compared(load_head(file) if alone else load_results(file))


def _accuracy_text(run: ComparedRun) -> str:
    if run.accuracy_ci95 is None:
        return percent_text(run.accuracy)
    low, high = run.accuracy_ci95
    return f"{percent_text(run.accuracy)} ({100 * low:.1f}-{100 * high:.1f})"
