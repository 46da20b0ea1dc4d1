"""What a run of lmms-eval measured of tilings and tokens: its schema, its file, its table.

In: answered questions. Out: per task and per question what `eval.py` records under the same names;
the scores are lmms-eval's. Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SQUARE
from rich.table import Table
from rich.text import Text

from tierexp.report.summary import number_text, percent_text
from tierexp.results.schema import Provenance, TierRange

if TYPE_CHECKING:
    from tierexp.data.batch import PreparedSample
    from tierexp.integrations.lmms_eval.answering import Answered

FILE_NAME = "lmms_eval.json"
KIND = "lmms_eval"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TaskFigures:
    """Means over the questions of a task, at least one, in the words and definitions of
    `EvaluationResults`.
    """

    num_samples: int
    selected_crops_distribution: dict[int, int]
    selected_crops_mean: float
    selected_vision_tokens_mean: float
    actual_vision_tokens_mean: float
    llm_vision_tokens_mean: float
    utilization_mean: float
    aspect_ratio_mismatch_mean: float
    aspect_ratio_mismatch_p95: float
    content_kept_mean: float
    padding_fraction_mean: float


@dataclass(frozen=True)
class AnswerRecord:
    """One answered question, in the words and definitions of `SampleResult`; `doc_id` is the number
    that lmms-eval's own log of samples has for it.
    """

    task: str
    doc_id: int
    question: str
    prediction: str
    selected_crops: int
    selected_tiling: tuple[int, int]
    aspect_ratio_mismatch: float
    selected_vision_tokens: int
    actual_vision_tokens: int
    llm_vision_tokens: int
    original_image_size: tuple[int, int]
    target_resolution: tuple[int, int]
    content_kept: float
    padding_fraction: float


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
    tasks: dict[str, TaskFigures]
    per_sample_results: tuple[AnswerRecord, ...]
    provenance: Provenance


def task_figures(answered: Sequence[Answered]) -> dict[str, TaskFigures]:
    """The figures of every task, by its name."""
    by_task: dict[str, list[PreparedSample]] = {}
    for answer in answered:
        by_task.setdefault(answer.question.task, []).append(answer.prepared)
    return {task: _figures(by_task[task]) for task in sorted(by_task)}


def answer_record(answered: Answered) -> AnswerRecord:
    """One answered question as the file holds it."""
    question, prepared = answered.question, answered.prepared
    height, width = prepared.image_size
    return AnswerRecord(
        task=question.task,
        doc_id=question.document,
        question=question.text,
        prediction=answered.text,
        selected_crops=prepared.selection.crops,
        selected_tiling=prepared.selection.tiling,
        aspect_ratio_mismatch=prepared.selection.mismatch,
        selected_vision_tokens=prepared.selected_vision_tokens,
        actual_vision_tokens=prepared.actual_vision_tokens,
        llm_vision_tokens=prepared.llm_vision_tokens,
        original_image_size=(width, height),
        target_resolution=prepared.target_resolution,
        content_kept=prepared.content_kept,
        padding_fraction=prepared.padding_fraction,
    )


def figures_table(run: LmmsEvalRun) -> Table:
    """The figures of a run, a row per task."""
    table = Table(
        title=Text(f"tier {run.tier} · model {run.model}"), title_justify="left", box=SQUARE
    )
    table.add_column("task")
    for column in ("n", "crops", "tokens", "to the LLM", "utilization", "mismatch (p95)"):
        table.add_column(column, justify="right")
    for task, figures in run.tasks.items():
        table.add_row(
            Text(task),
            str(figures.num_samples),
            number_text(figures.selected_crops_mean),
            number_text(figures.selected_vision_tokens_mean),
            number_text(figures.llm_vision_tokens_mean),
            percent_text(figures.utilization_mean),
            f"{number_text(figures.aspect_ratio_mismatch_mean, 3)} "
            f"({number_text(figures.aspect_ratio_mismatch_p95, 3)})",
        )
    return table


def _figures(prepared: Sequence[PreparedSample]) -> TaskFigures:
    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    def mean_of(name: str) -> float:
        return mean([getattr(sample, name) for sample in prepared])

    crops = [sample.selection.crops for sample in prepared]
    mismatches = [sample.selection.mismatch for sample in prepared]
    counts: dict[int, int] = dict(sorted(Counter(crops).items()))
    used: list[Any] = [s.actual_vision_tokens / s.selected_vision_tokens for s in prepared]
    return TaskFigures(
        num_samples=len(prepared),
        selected_crops_distribution=counts,
        selected_crops_mean=mean(crops),
        selected_vision_tokens_mean=mean_of("selected_vision_tokens"),
        actual_vision_tokens_mean=mean_of("actual_vision_tokens"),
        llm_vision_tokens_mean=mean_of("llm_vision_tokens"),
        utilization_mean=mean(used),
        aspect_ratio_mismatch_mean=mean(mismatches),
        aspect_ratio_mismatch_p95=float(np.percentile(mismatches, 95)),
        content_kept_mean=mean_of("content_kept"),
        padding_fraction_mean=mean_of("padding_fraction"),
    )
