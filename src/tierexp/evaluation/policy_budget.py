"""A policy and its budget around an evaluation: what is checked before, what is said afterwards.

In: an evaluation's parts, and later its samples. Out: lines to say, or one refusal; and the record
that results keep. A policy that is no fitted one of ours has no budget to keep. Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tierexp.data.plan import readable_sizes
from tierexp.data.sample import QuestionDataset
from tierexp.data.views import DatasetView
from tierexp.models.protocol import ModelSource
from tierexp.policies.costs import answer_cost
from tierexp.policies.live import LivePolicy
from tierexp.policies.policy_file import PointKnobs, Target, data_identity
from tierexp.results.intervals import mean_interval
from tierexp.results.policy_record import PolicyRecord
from tierexp.results.provenance import checkpoint_of, digest_inputs
from tierexp.results.schema import EvaluationResults, whole
from tierexp.tiers.policy import Policy

_TIMED = ("flops", "latency_ms")


def check_policy(
    policy: Policy,
    dataset: QuestionDataset,
    source: ModelSource,
    at_points: Sequence[ModelSource],
    settings: Mapping[str, Any],
    timed: bool,
) -> tuple[str, ...]:
    """Refuse a policy that was fitted for something else, or whose budget cannot be.

    Args:
        policy: Policy of the run.
        dataset: Read for questions and sizes; no image is opened.
        source: Source of the model.
        at_points: The same as its knobs are at the policy's points.
        settings: The configuration, resolved.
        timed: Whether latency is measured.

    Returns:
        Lines to say before the run.

    Raises:
        ConfigError: See `LivePolicy.differs` and `LivePolicy.budget`.
    """
    if not isinstance(policy, LivePolicy):
        return ()
    names = tuple(point.name for point in policy.points)
    digests, checkpoint = digest_inputs(dataset, source), checkpoint_of(source)
    if checkpoint is not None:
        digests["checkpoint"] = checkpoint
    target = Target(
        names, dataset.name, data_identity(settings, dataset.name), source.name,
        dict.fromkeys(names, digests), "this run is", tuple(map(_knobs, at_points)),
    )  # fmt: skip
    said = list(policy.differs(target))
    policy.budget(_views(dataset))
    if policy.settings.unit in _TIMED and not timed:
        said.append("nobody measures whether its budget is kept: latency=on does")
    return tuple(said)


def _knobs(source: ModelSource) -> PointKnobs:
    values = source.knob_values
    return PointKnobs(whole(values, "top_k") or 1, whole(values, "num_active_blocks") or 1)


def with_spending(
    results: EvaluationResults, policy: Policy, dataset: QuestionDataset
) -> EvaluationResults:
    """Results with what the policy had to spend and what it spent; as they are where there is no
    budget, or its unit was not measured.

    Args:
        results: Results of the run.
        policy: That chose the points.
        dataset: The samples.
    """
    samples = results.per_sample_results
    if not isinstance(policy, LivePolicy) or not samples:
        return results
    unit = policy.settings.unit
    costs = [answer_cost(sample, unit) for sample in samples]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return results
    spent = np.array(known) + (policy.own_ms if unit == "latency_ms" else 0.0)
    scores = np.array([sample.accuracy for sample in samples])
    budget = policy.budget(_views(dataset))
    names = tuple(point.name for point in policy.points)
    given = Counter(sample.point for sample in samples)
    record = PolicyRecord(
        policy=policy.name,
        points=names,
        unit=unit,
        budget=budget,
        mean_cost=float(spent.mean()),
        accuracy=float(scores.mean()),
        ci95=mean_interval(scores, [sample.image_key for sample in samples]),
        share_of_points={name: given[name] / len(samples) for name in names},
        above_mixture=None,
    )
    over = None
    if unit == "latency_ms" and budget is not None:
        over = float((spent > budget).mean())
    return replace(results, policies=(record,), over_budget=over)


def spending_metrics(results: EvaluationResults) -> dict[str, float]:
    """What a logger charts of it; nothing where nothing is known."""
    metrics: dict[str, float] = {}
    for record in results.policies:
        metrics["test/policy_mean_cost"] = record.mean_cost
        if record.budget is not None:
            metrics["test/policy_budget"] = record.budget
        for point, share in record.share_of_points.items():
            metrics[f"test/policy_share/{point}"] = share
    if results.over_budget is not None:
        metrics["test/policy_over_budget"] = results.over_budget
    return metrics


def _views(dataset: QuestionDataset) -> Sequence[DatasetView]:
    sizes, _ = readable_sizes(dataset)
    return [DatasetView(dataset, index, size) for index, size in sizes.items()]
