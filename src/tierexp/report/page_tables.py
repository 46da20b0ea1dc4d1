"""The tables of the report's page: runs, targets, paired differences, failures, settings.

In: stored runs. Out: rows of text for the template, which escapes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tierexp.config.settings import flat
from tierexp.errors import DataError
from tierexp.report.differences import differences
from tierexp.report.gallery import StoredRun
from tierexp.report.varying import comparable_results
from tierexp.results.check import Check
from tierexp.results.metrics import Metric
from tierexp.results.model_free import ModelFreeResults
from tierexp.results.schema import EvaluationResults
from tierexp.results.targets.sweep_checks import check_sweep

_MOST_REASONS = 8
Cell = tuple[str, str]
"""(text, class of the page's style)."""


@dataclass(frozen=True)
class PageTable:
    """A table.

    Args:
        title: Over it; empty where it needs none.
        head: Head of its columns.
        rows: Rows of cells, as many as the head has.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> PageTable:
    """A table of cells of which most have no class."""
    return PageTable(
        title,
        tuple(head),
        tuple(tuple((c, "") if isinstance(c, str) else c for c in row) for row in rows),
    )


def runs_table(runs: Sequence[StoredRun]) -> PageTable:
    """What the runs are compared by."""
    results = [run.results for run in runs]
    metrics = shown_metrics(results)
    timed = any(run.latency is not None for run in results)
    guessed = any(run.chance is not None for run in results)
    head = ["run", *(metric.title for metric in metrics), "accuracy", "95 % interval"]
    head += ["chance"] if guessed else []
    head += ["ms an answer (p50, p95)"] if timed else []
    rows = []
    for run in runs:
        low, high = run.results.accuracy_ci95 or (0.0, 0.0)
        row = [run.label, *_means(metrics, run.results)]
        row += [f"{run.results.accuracy:.1%}", f"{low:.1%} to {high:.1%}"]
        if guessed:
            row.append("-" if run.results.chance is None else f"{run.results.chance:.1%}")
        if timed:
            latency = run.results.latency
            total = None if latency is None else latency.stages["T_total"]
            row.append("-" if total is None else f"{total.p50:.1f}, {total.p95:.1f}")
        rows.append(row)
    return table("", head, rows)


def model_free_table(runs: Sequence[ModelFreeResults], labels: Sequence[str]) -> PageTable:
    """What runs without a model are compared by."""
    metrics = shown_metrics(runs)
    rows = [
        [label, *_means(metrics, run), f"{run.images_per_second or 0:.0f}"]
        for label, run in zip(labels, runs, strict=True)
    ]
    return table("", ["run", *(metric.title for metric in metrics), "images a second"], rows)


def shown_metrics(runs: Sequence[EvaluationResults | ModelFreeResults]) -> list[Metric]:
    """The columns of the page's table, of all runs together."""
    metrics = {m.name: m for run in runs for m in run.metrics}
    return [m for m in metrics.values() if m.tables != "summary" and "mean" in m.statistics]


def target_tables(runs: Sequence[StoredRun]) -> Iterator[PageTable]:
    """Targets between the runs, then those of every run."""
    results = [run.results for run in runs]
    if comparable_results(results):
        checks = check_sweep(results)
        if checks:
            yield _checks("between runs", checks)
    for run in runs:
        yield _checks(run.label, run.results.validation)


def difference_tables(runs: Sequence[StoredRun]) -> Iterator[PageTable]:
    """What every run gains over the one before it, by task; none where they share no sample."""
    head = ["task", "before", "after", "difference", "95 % interval", "gained", "lost", "samples"]
    for before, after in pairwise(runs):
        try:
            found = differences(before.results, after.results)
        except DataError:
            continue
        rows: list[list[str | Cell]] = []
        for task, row in found.items():
            sure = "met" if row.low > 0 else "missed" if row.high < 0 else ""
            rows.append(
                [
                    task, f"{row.before:.1%}", f"{row.after:.1%}",
                    (f"{100 * row.difference:+.1f} points", sure),
                    f"{100 * row.low:+.1f} to {100 * row.high:+.1f}", f"{row.gained}",
                    f"{row.lost}", f"{row.num_samples} ({row.num_images} images)",
                ]
            )  # fmt: skip
        yield table(f"{before.label} → {after.label}", head, rows)


def failure_tables(
    runs: Sequence[EvaluationResults | ModelFreeResults], labels: Sequence[str]
) -> Iterator[PageTable]:
    """The reasons of failed samples with their numbers and an example each."""
    for run, label in zip(runs, labels, strict=True):
        reasons = Counter(failure.reason for failure in run.failures)
        examples = {failure.reason: failure.sample_id for failure in reversed(run.failures)}
        rows: list[list[str | Cell]] = [
            [str(count), (reason, "text"), (examples[reason], "text")]
            for reason, count in reasons.most_common(_MOST_REASONS)
        ]
        others = sum(reasons.values()) - sum(int(row[0]) for row in rows if isinstance(row[0], str))
        if others:
            rows.append([str(others), ("other reasons, in the results file", "text"), ""])
        if rows:
            yield table(f"{label}: {run.num_failed} failed", ["n", "reason", "such as"], rows)


def origin_table(
    runs: Sequence[EvaluationResults | ModelFreeResults], labels: Sequence[str]
) -> PageTable:
    """When, where and by what command every run was made."""
    rows: list[list[str | Cell]] = []
    for run, label in zip(runs, labels, strict=True):
        origin = run.provenance
        commit = (origin.git_commit or "-")[:10] + (" with changes" if origin.git_dirty else "")
        date, command = origin.date or "-", (origin.command or "-", "text")
        rows.append([label, date, origin.device, commit, command])
    return table("", ["run", "date", "device", "commit", "command"], rows)


def settings_table(runs: Sequence[EvaluationResults | ModelFreeResults]) -> PageTable:
    """Every setting: its value where all runs share it, else all its values."""
    settings = [flat(run.provenance.config) for run in runs]
    keys = dict.fromkeys(key for of_run in settings for key in of_run)
    rows: list[list[str | Cell]] = []
    for key in keys:
        values = dict.fromkeys(str(of_run.get(key, "-")) for of_run in settings)
        rows.append([key, (" | ".join(values), "text")])
    return table("", ["setting", "value"], rows)


def _means(metrics: Sequence[Metric], run: EvaluationResults | ModelFreeResults) -> list[str]:
    return [metric.text(run.aggregates.get(metric.field("mean"))) for metric in metrics]


def _checks(title: str, checks: Sequence[Check]) -> PageTable:
    rows: list[list[str | Cell]] = []
    for check in checks:
        name, figure, interval, target, verdict = check.words
        style = ("met" if check.met else "missed") + (" uncertain" if check.uncertain else "")
        samples = f"{check.num_samples} ({check.num_images} images)"
        rows.append([name, figure, interval, target, (verdict, style), samples])
    return table(title, ["check", "found", "95 % interval", "target", "", "samples"], rows)
