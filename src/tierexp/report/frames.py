"""Results as pandas tables, for notebooks.

In: results files. Out: one row per run or per sample, and what two runs differ by. Figures of the
same runs are in `tierexp.report.figures` and `tierexp.report.accuracy_curve`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tierexp.config.settings import flat
from tierexp.errors import DataError
from tierexp.report.compared import as_compared
from tierexp.report.comparison import runs_below
from tierexp.report.differences import differences
from tierexp.report.varying import labels_of, run_labels, varying
from tierexp.results.codec import encode
from tierexp.results.files import model_free_results, runs_in
from tierexp.results.model_free import ModelFreeResults, load_model_free_results
from tierexp.results.schema import RUN, EvaluationResults

_OF_SAMPLES = ("validation",)


def load_runs(folder: Path | str) -> list[EvaluationResults]:
    """The results of every complete run with a model in a folder or anywhere below.

    Args:
        folder: Folder of a run, of a multirun, or of several.

    Raises:
        DataError: It is no folder, holds no results, or one of them is damaged.
    """
    folder = Path(folder)
    runs = runs_below(folder)
    if not runs:
        raise DataError(f"{folder} has no results files of runs with a model in or below it")
    return runs


def load_model_free_runs(folder: Path | str) -> list[ModelFreeResults]:
    """The results of every run without a model in a folder or anywhere below.

    Args:
        folder: See `load_runs`, with the same errors.
    """
    files = [file for inner in runs_in(Path(folder)) for file in model_free_results(inner)]
    if not files:
        raise DataError(f"{folder} has no results files of runs without a model in or below it")
    return [load_model_free_results(file) for file in files]


def runs_frame(runs: Sequence[EvaluationResults | ModelFreeResults]) -> pd.DataFrame:
    """One row per run: `run`, its label, whatever else differs between the runs, and every
    aggregate of the results under its name there.

    Names of nested ones are joined by `/`: `accuracy_by_task/read/accuracy`,
    `tier_range/min_crops`, `latency/stages/T_total/p50`, `selected_crops_distribution/6`; pairs
    have numbers: `accuracy_ci95/0`.

    Args:
        runs: At least one.
    """
    views = [as_compared(run) for run in runs]
    settings = varying(views)
    rows = []
    for number, (view, label) in enumerate(zip(views, run_labels(views), strict=True)):
        kept = {k: v for k, v in view.content.items() if k not in _OF_SAMPLES}
        beside = {name: values[number] for name, values in settings.items() if name not in kept}
        rows.append({RUN: label, **beside, **_cells(kept)})
    return pd.DataFrame(rows)


def samples_frame(runs: Sequence[EvaluationResults]) -> pd.DataFrame:
    """One row per run and sample: `run`, its label, and every field of the sample.

    Args:
        runs: At least one. Names as in `runs_frame`; `answers` stays a tuple.
    """
    rows = []
    for run, label in zip(runs, labels_of(runs), strict=True):
        for sample in run.per_sample_results:
            fields = encode(sample)
            del fields["answers"]
            rows.append({RUN: label, **_cells(fields), "answers": sample.answers})
    return pd.DataFrame(rows)


def compare_runs(before: EvaluationResults, after: EvaluationResults) -> pd.DataFrame:
    """What one run gains over another on the samples that both have, for all of them and by task.

    Args:
        before: The one to compare with.
        after: The other one.

    Returns:
        A table indexed by task, the first row `all`: `before` and `after`, the accuracies;
        `difference` with the paired 95 % bootstrap interval `low` to `high`, images drawn as a
        whole; `gained` and `lost`, how many samples score higher and lower; `num_samples`,
        `num_images`.

    Raises:
        DataError: The runs share no sample.
    """
    rows = {task: dataclasses.asdict(row) for task, row in differences(before, after).items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


def _cells(fields: dict[str, Any]) -> dict[str, Any]:
    return flat(dict(_nested(fields)), "/")


def _nested(fields: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Lists as mappings."""
    for name, value in fields.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        yield str(name), dict(_nested(value)) if isinstance(value, dict) else value
