"""Results as pandas tables, for notebooks.

In: results files. Out: one row per run or per sample, and what two runs differ by. Figures of the
same runs are in `tierexp.report.figures` and `tierexp.report.accuracy_curve`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tierexp.config.settings import flat
from tierexp.errors import DataError
from tierexp.report.comparison import runs_below
from tierexp.report.varying import run_labels, varying
from tierexp.results.bootstrap import combined_interval
from tierexp.results.schema import EvaluationResults, SampleResult

_OF_SAMPLES = ("per_sample_results", "failures", "validation", "provenance")
OVERALL = "all"
"""Names the row of all tasks together."""


def load_runs(folder: Path | str) -> list[EvaluationResults]:
    """The results of every complete run with a model in a folder or anywhere below.

    Args:
        folder: Of a run, of a multirun, or of several.

    Raises:
        DataError: It is no folder, holds no results, or one of them is damaged.
    """
    folder = Path(folder)
    runs = runs_below(folder)
    if not runs:
        raise DataError(f"{folder} has no results files of runs with a model in or below it")
    return runs


def runs_frame(runs: Sequence[EvaluationResults]) -> pd.DataFrame:
    """One row per run: `run`, its label, whatever else differs between the runs, and every
    aggregate of the results under its name there.

    Names of nested ones are joined by `/`: `accuracy_by_task/read/accuracy`,
    `tier_range/min_crops`, `latency/stages/T_total/p50`, `selected_crops_distribution/6`; pairs
    have numbers: `accuracy_ci95/0`.

    Args:
        runs: At least one.
    """
    settings = varying(runs)
    rows = []
    for number, (run, label) in enumerate(zip(runs, run_labels(runs), strict=True)):
        kept = {
            field.name: getattr(run, field.name)
            for field in dataclasses.fields(run)
            if field.name not in _OF_SAMPLES
        }
        beside = {name: values[number] for name, values in settings.items() if name not in kept}
        rows.append({"run": label, **beside, **_cells(kept)})
    return pd.DataFrame(rows)


def samples_frame(runs: Sequence[EvaluationResults]) -> pd.DataFrame:
    """One row per run and sample: `run`, its label, and every field of the sample.

    Args:
        runs: At least one. Names as in `runs_frame`; `answers` stays a tuple.
    """
    rows = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        for sample in run.per_sample_results:
            fields = {f.name: getattr(sample, f.name) for f in dataclasses.fields(sample)}
            answers = fields.pop("answers")
            rows.append({"run": label, **_cells(fields), "answers": answers})
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
    known = {sample.sample_id: sample for sample in before.per_sample_results}
    pairs = [
        (known[sample.sample_id], sample)
        for sample in after.per_sample_results
        if sample.sample_id in known
    ]
    if not pairs:
        raise DataError("the runs share no sample: there is nothing to compare")
    by_task = {OVERALL: pairs}
    for task in sorted({sample.task for sample, _ in pairs}):
        by_task[task] = [pair for pair in pairs if pair[0].task == task]
    rows = {task: _difference(found) for task, found in by_task.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


def _difference(pairs: Sequence[tuple[SampleResult, SampleResult]]) -> dict[str, Any]:
    first, second = (np.array([pair[n].accuracy for pair in pairs], float) for n in (0, 1))
    images = [sample.image_key for sample, _ in pairs]
    low, high = combined_interval([first, second], images, lambda one, other: other - one)
    return {
        "before": first.mean(),
        "after": second.mean(),
        "difference": (second - first).mean(),
        "low": low,
        "high": high,
        "gained": int((second > first).sum()),
        "lost": int((second < first).sum()),
        "num_samples": len(pairs),
        "num_images": len(set(images)),
    }


def _cells(fields: dict[str, Any]) -> dict[str, Any]:
    return flat(dict(_nested(fields)), "/")


def _nested(fields: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Data classes and tuples as mappings."""
    for name, value in fields.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, tuple):
            value = dict(enumerate(value))
        yield str(name), dict(_nested(value)) if isinstance(value, dict) else value
