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

from tierexp.machine import writing
from tierexp.report.summary import number_text, percent_text
from tierexp.report.targets_table import checks_table
from tierexp.report.varying import Run, comparable, varying
from tierexp.results.schema import EvaluationResults, complete_results, load_results
from tierexp.results.targets.check import Check
from tierexp.results.targets.sweep_checks import check_sweep

FILE_NAME = "comparison.json"
MISSED = 3
"""Exit code of a strict run that missed a target."""
_LEFT_OUT = ("per_sample_results", "failures", "provenance")


def read_runs(folders: Sequence[Path], newest: bool = False) -> list[EvaluationResults]:
    """The results files of complete runs with a model, in the order of the folders.

    Args:
        folders: To look in; not below.
        newest: Of several in one folder, take the last that was written, and none where that is
            of a run without a model: earlier runs into the same folder are none of these.

    Raises:
        DataError: A results file is damaged.
    """
    runs = []
    for folder in folders:
        files = complete_results(folder)
        if newest:
            every = sorted(folder.glob("*_tier-*.json"), key=lambda file: file.stat().st_mtime_ns)
            files = [file for file in every[-1:] if file in files]
        runs += [load_results(file) for file in files]
    return runs


def runs_below(folder: Path) -> list[EvaluationResults]:
    """The results files of complete runs with a model in a folder or anywhere below it.

    Args:
        folder: Of a run, of a multirun, or of several.

    Raises:
        DataError: A results file is damaged.
    """
    return read_runs(sorted({file.parent for file in folder.rglob("*_tier-*.json")}))


def finish(folders: Sequence[Path]) -> None:
    """What a command does when its runs are done: compare them, and be strict where asked.

    Args:
        folders: Of the runs, in the order they ran.

    Raises:
        DataError: A results file is damaged.
        SystemExit: With code 3 where a target was missed and `validate.strict` is true.
    """
    runs = read_runs(folders, newest=True)
    found = [(f"{check.name} ({run.tier})", check) for run in runs for check in run.validation]
    if len(runs) > 1:
        file = Path(os.path.commonpath(folders)) / FILE_NAME
        found += [(check.name, check) for check in compare(runs, file, Console())]
    missed = [name for name, check in found if not check.met]
    if missed and any(run.provenance.config["validate"]["strict"] for run in runs):
        sys.stderr.write(f"{len(missed)} of {len(found)} targets missed: {', '.join(missed)}\n")
        raise SystemExit(MISSED)


def compare(runs: Sequence[Run], file: Path, console: Console) -> tuple[Check, ...]:
    """Print how runs compare and write the same to a file.

    Args:
        runs: At least two, in the order they ran.
        file: To write, JSON.
        console: To print to.

    Returns:
        The checks between runs; none where they differ in more than the crop policy. Older results
        are listed and not judged: they do not say on which images, nor of which model.

    Raises:
        MachineError: The file cannot be written.
    """
    judged = [run for run in runs if isinstance(run, EvaluationResults)]
    between = check_sweep(judged) if comparable(judged) else ()
    console.print(runs_table(runs))
    if between:
        console.print(checks_table(between))
    content = {
        "schema_version": 2,
        "runs": [
            {k: v for k, v in dataclasses.asdict(run).items() if k not in _LEFT_OUT} for run in runs
        ],
        "validation": [dataclasses.asdict(check) | {"met": check.met} for check in between],
    }
    with writing(file):
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(Text(f"comparison  {file}"), soft_wrap=True)
    return between


def runs_table(runs: Sequence[Run]) -> Table:
    """One line per run."""
    table = Table(title="comparison", title_justify="left", box=SQUARE)
    table.add_column("tier", no_wrap=True)
    columns = varying(runs)
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    for name in ("tokens", "mismatch", "utilization", "accuracy (95 %)"):
        table.add_column(name, justify="right", overflow="fold")
    timed = any(run.latency is not None for run in runs)
    if timed:
        table.add_column("T_total ms", justify="right", overflow="fold")
    for number, run in enumerate(runs):
        cells = [run.tier, *(values[number] for values in columns.values())]
        cells += [
            number_text(run.selected_vision_tokens_mean, 0),
            number_text(run.aspect_ratio_mismatch_mean, 3),
            percent_text(run.utilization_mean),
            _accuracy_text(run),
        ]
        if timed:
            total = None if run.latency is None else run.latency.stages.get("T_total")
            cells.append(number_text(None if total is None else total.mean, 1))
        table.add_row(*map(Text, cells))
    return table


def _accuracy_text(run: Run) -> str:
    if run.accuracy_ci95 is None:
        return percent_text(run.accuracy)
    low, high = run.accuracy_ci95
    return f"{percent_text(run.accuracy)} ({100 * low:.1f}-{100 * high:.1f})"
