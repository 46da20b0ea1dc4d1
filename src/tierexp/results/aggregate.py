"""From samples to the results of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tierexp.data.scores.mme import MmeTotals, add_up
from tierexp.results.intervals import wilson_interval
from tierexp.results.latency import LatencyResults
from tierexp.results.metrics import Metric, aggregated, declared
from tierexp.results.schema import (
    SCHEMA_VERSION,
    EvaluationResults,
    Failure,
    Provenance,
    RunFacts,
    SampleResult,
    TaskAccuracy,
    whole,
)
from tierexp.results.targets.run_checks import check_run


def aggregate(
    samples: Sequence[SampleResult],
    failures: Sequence[Failure],
    facts: RunFacts,
    seconds: float | None,
    provenance: Provenance,
    latency: LatencyResults | None = None,
) -> EvaluationResults:
    """The results of a run from what was measured of its samples.

    Args:
        samples: In the data set's order.
        failures: In the data set's order.
        facts: What holds for every sample.
        seconds: The evaluation took, model loading excluded; None where that says nothing.
        provenance: Where the results come from.
        latency: Latency of the samples; None where nothing was timed.
    """
    overall = task_accuracy(samples) if samples else None
    crops = Counter(int(sample.number("selected_crops")) for sample in samples)
    return EvaluationResults(
        schema_version=SCHEMA_VERSION,
        tier=facts.tier,
        tier_range=facts.tier_range,
        selected_crops_distribution=dict(sorted(crops.items())),
        top_k=whole(facts.knobs, "top_k"),
        num_active_blocks=whole(facts.knobs, "num_active_blocks"),
        knobs=dict(facts.knobs),
        accuracy=overall.accuracy if overall else None,
        accuracy_std=float(np.std([s.accuracy for s in samples])) if samples else None,
        accuracy_ci95=overall.accuracy_ci95 if overall else None,
        chance=overall.chance if overall else None,
        num_samples=len(samples),
        num_failed=len(failures),
        resize_to_fill=facts.resize_to_fill,
        dataset=facts.dataset,
        model=facts.model,
        score=facts.score,
        accuracy_by_task=task_accuracies(samples),
        mme=mme_totals(samples) if facts.score == "mme" and samples else None,
        samples_per_second=len(samples) / seconds if samples and seconds else None,
        latency=latency,
        validation=check_run(samples),
        failures=tuple(failures),
        per_sample_results=tuple(samples),
        provenance=provenance,
        metrics=declared(facts.metrics),
        num_unparsed=num_unparsed(samples),
        aggregates=aggregates_of(facts.metrics, samples),
    )


def aggregates_of(
    metrics: Sequence[Metric], samples: Sequence[SampleResult]
) -> dict[str, float | None]:
    """The aggregates of declared columns.

    Args:
        metrics: Metrics of the run.
        samples: That have them.
    """
    columns = {m.name: [sample.metrics.get(m.name) for sample in samples] for m in metrics}
    return aggregated(metrics, columns)


def num_unparsed(samples: Sequence[SampleResult]) -> int | None:
    """How many predictions do not say what they choose; None where their score takes any text."""
    read = [sample.is_parsed for sample in samples if sample.is_parsed is not None]
    return read.count(False) if read else None


def task_accuracy(samples: Sequence[SampleResult]) -> TaskAccuracy:
    """The mean score of samples, at least one, and its 95 % Wilson interval."""
    accuracy = float(np.mean([sample.accuracy for sample in samples]))
    guesses = [sample.chance for sample in samples if sample.chance is not None]
    chance = float(np.mean(guesses)) if len(guesses) == len(samples) else None
    return TaskAccuracy(accuracy, wilson_interval(accuracy, len(samples)), len(samples), chance)


def task_accuracies(samples: Sequence[SampleResult]) -> dict[str, TaskAccuracy]:
    """The same of each task's samples, by task and in the alphabet's order."""
    by_task: dict[str, list[SampleResult]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    return {task: task_accuracy(by_task[task]) for task in sorted(by_task)}


def mme_totals(samples: Sequence[SampleResult]) -> MmeTotals:
    """MME's official scores, of samples scored by `mme`."""
    return add_up((s.task, s.image_key, s.accuracy == 1.0) for s in samples)
