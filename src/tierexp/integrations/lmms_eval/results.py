"""What a run of lmms-eval measured of tilings and tokens: its schema, its file, its table.

In: answered questions. Out: per task and per question what `eval.py` records under the same names;
the scores are lmms-eval's. Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SQUARE
from rich.table import Table
from rich.text import Text

from tierexp.errors import ConfigError
from tierexp.results.codec import BESIDE
from tierexp.results.metrics import BUILT_IN, Number, aggregated, values_of_image
from tierexp.results.schema import Provenance, TierRange
from tierexp.runtime.folder_lock import folder_lock

if TYPE_CHECKING:
    from tierexp.data.batch import PreparedSample
    from tierexp.integrations.lmms_eval.answering import Answered

FILE_NAME = "lmms_eval.json"
KIND = "lmms_eval"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TaskMetrics:
    """Means over the questions of a task, at least one, in the words and definitions of
    `EvaluationResults`.
    """

    num_samples: int
    selected_crops_distribution: dict[int, int]
    aggregates: dict[str, float | None] = field(default_factory=dict, metadata=BESIDE)


@dataclass(frozen=True)
class AnswerRecord:
    """One answered question, in the words and definitions of `SampleResult`; `doc_id` is the number
    that lmms-eval's own log of samples has for it.
    """

    task: str
    doc_id: int
    question: str
    prediction: str
    selected_tiling: tuple[int, int]
    original_image_size: tuple[int, int]
    target_resolution: tuple[int, int]
    metrics: dict[str, Number | None] = field(default_factory=dict, metadata=BESIDE)


@dataclass(frozen=True)
class LmmsEvalRun:
    """Everything but the scores."""

    kind: str
    schema_version: int
    model: str
    tier: str
    tier_range: TierRange
    resize_to_fill: bool
    top_k: int | None
    num_active_blocks: int | None
    knobs: dict[str, int | float | str | bool | None]
    tasks: dict[str, TaskMetrics]
    per_sample_results: tuple[AnswerRecord, ...]
    provenance: Provenance


@contextmanager
def claimed(folder: Path, overwrite: bool) -> Iterator[None]:
    """Hold a folder for one run, from before its first question until all is written.

    Args:
        folder: Folder of the run; made where it is missing.
        overwrite: Whether an earlier run's metrics there may go.

    Raises:
        ConfigError: Another run writes there, or an earlier one's metrics are there.
        MachineError: The folder cannot be written.
    """
    with folder_lock(folder):
        if (folder / FILE_NAME).exists() and not overwrite:
            allowed = f"a folder without {FILE_NAME}; overwrite=true replaces the one that is there"
            raise ConfigError("output_dir", str(folder), allowed)
        yield


def task_metrics(answered: Sequence[Answered]) -> dict[str, TaskMetrics]:
    """The metrics of every task, by its name."""
    by_task: dict[str, list[PreparedSample]] = {}
    for answer in answered:
        by_task.setdefault(answer.question.task, []).append(answer.prepared)
    return {task: _metrics(by_task[task]) for task in sorted(by_task)}


def answer_record(answered: Answered) -> AnswerRecord:
    """One answered question as the file holds it."""
    question, prepared = answered.question, answered.prepared
    height, width = prepared.image_size
    return AnswerRecord(
        task=question.task,
        doc_id=question.document,
        question=question.text,
        prediction=answered.text,
        selected_tiling=prepared.selection.tiling,
        original_image_size=(width, height),
        target_resolution=prepared.target_resolution,
        metrics=values_of_image(BUILT_IN, prepared.measured),
    )


def metrics_table(run: LmmsEvalRun) -> Table:
    """The metrics of a run, a row per task."""
    table = Table(
        title=Text(f"tier {run.tier} · model {run.model}"), title_justify="left", box=SQUARE
    )
    shown = [metric for metric in BUILT_IN if metric.tables != "summary" and metric.statistics]
    table.add_column("task")
    for column in ("n", *(metric.title for metric in shown)):
        table.add_column(column, justify="right")
    for task, metrics in run.tasks.items():
        means = [m.text(metrics.aggregates[m.field("mean")]) for m in shown]
        table.add_row(Text(task), str(metrics.num_samples), *means)
    return table


def _metrics(prepared: Sequence[PreparedSample]) -> TaskMetrics:
    images = [values_of_image(BUILT_IN, sample.measured) for sample in prepared]
    metrics = [metric for metric in BUILT_IN if metric.name in images[0]]
    columns = {metric.name: [image[metric.name] for image in images] for metric in metrics}
    crops = Counter(sample.selection.crops for sample in prepared)
    return TaskMetrics(
        num_samples=len(prepared),
        selected_crops_distribution=dict(sorted(crops.items())),
        aggregates=aggregated(metrics, columns),
    )
