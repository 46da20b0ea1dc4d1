"""A run as tables of several runs see it, whatever file it came from.

In: results of a run with a model, of one without, or of the system that came before this one. Out:
one class with what can be compared, made once, where results are read. What a file does not say is
absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tierexp.config.settings import flat, resume_key
from tierexp.results.codec import encode
from tierexp.results.metrics import Metric
from tierexp.results.model_free import ModelFreeResults
from tierexp.results.older import OlderResults
from tierexp.results.schema import EvaluationResults

FACTS = ("dataset", "model", "score", "top_k", "num_active_blocks")
"""What results say of themselves, whatever the settings were called."""
_NOT_COMPARED = ("per_sample_results", "failures", "provenance", "metrics")


@dataclass(frozen=True)
class ComparedRun:
    """One run.

    Args:
        tier: Name of its crop policy.
        facts: By name of `FACTS`; a fact that the file does not say is missing.
        settings: What it was measured by, flat keys; none where the file does not say.
        content: The file's fields, without samples.
        metrics: The columns that `aggregates` is of.
        aggregates: As in `EvaluationResults`.
        accuracy: None where nothing was scored.
        accuracy_ci95: Its 95 % interval.
        total_ms: Mean time of an answer in milliseconds; None where it was not timed.
        results: The whole, where the run can be judged against others.
        other_knobs: As in `EvaluationResults`.
    """

    tier: str
    facts: Mapping[str, str]
    settings: Mapping[str, object]
    content: Mapping[str, Any] = field(repr=False)
    metrics: tuple[Metric, ...]
    aggregates: Mapping[str, float | None]
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    total_ms: float | None = None
    results: EvaluationResults | None = field(default=None, repr=False)
    other_knobs: Mapping[str, object] = field(default_factory=dict)


def compared(results: EvaluationResults) -> ComparedRun:
    """A run with a model."""
    total = None if results.latency is None else results.latency.stages.get("T_total")
    return ComparedRun(
        tier=results.tier,
        facts={name: str(getattr(results, name)) for name in FACTS},
        settings=flat(resume_key(results.provenance.config)),
        content=_content(results),
        metrics=results.metrics,
        aggregates=results.aggregates,
        accuracy=results.accuracy,
        accuracy_ci95=results.accuracy_ci95,
        total_ms=None if total is None else total.mean,
        results=results,
        other_knobs=results.other_knobs,
    )


def compared_model_free(results: ModelFreeResults) -> ComparedRun:
    """A run without a model."""
    return ComparedRun(
        tier=results.tier,
        facts={"dataset": results.dataset, "model": results.model},
        settings=flat(resume_key(results.provenance.config)),
        content=_content(results),
        metrics=results.metrics,
        aggregates=results.aggregates,
    )


def as_compared(results: EvaluationResults | ModelFreeResults) -> ComparedRun:
    """A run of this system."""
    if isinstance(results, EvaluationResults):
        return compared(results)
    return compared_model_free(results)


def compared_older(results: OlderResults) -> ComparedRun:
    """A run of the older system; its columns are those of this one that the file has."""
    total = None if results.latency is None else results.latency.stages.get("T_total")
    said = {name: getattr(results, name) for name in FACTS}
    return ComparedRun(
        tier=results.tier,
        facts={name: str(value) for name, value in said.items() if value is not None},
        settings={},
        content=_content(results),
        metrics=results.metrics,
        aggregates=results.aggregates,
        accuracy=results.accuracy,
        accuracy_ci95=results.accuracy_ci95,
        total_ms=None if total is None else total.mean,
    )


def _content(results: EvaluationResults | ModelFreeResults | OlderResults) -> dict[str, Any]:
    names = [f.name for f in fields(results) if f.name not in (*_NOT_COMPARED, "aggregates")]
    return {name: encode(getattr(results, name)) for name in names} | results.aggregates
