"""A budget of time is held against what was measured; worked examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.policy_sweeps import run
from tierexp.data.tierqa import TierQA
from tierexp.evaluation.policy_budget import spending_metrics, with_spending
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.policies import live
from tierexp.policies.chance import Boosting
from tierexp.policies.features import GROUPS
from tierexp.policies.fitting import fit_policy
from tierexp.policies.policy_file import write_policy
from tierexp.policies.sweep import sweep_of
from tierexp.results.schema import EarlierPass, EvaluationResults
from tierexp.tiers.files import load_tier

PREPROCESSING = Preprocessing(tier=load_tier("low"))


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    """Fourteen questions, answered and timed at the low tier as a policy's point."""
    static = run("low", "test", images=2, timed=True)
    samples = [replace(s, point="low") for s in static.per_sample_results]
    return replace(static, per_sample_results=tuple(samples))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fitting = sweep_of([run(tier, images=3, timed=True) for tier in ("low", "high")], "here")
    fitted, _ = fit_policy("lookup", fitting, GROUPS, Boosting(trees=1))
    target = tmp_path_factory.mktemp("fitted") / "lookup.json"
    write_policy(fitted, target)
    return target


def test_how_often_a_single_answer_broke_the_budget(results: EvaluationResults, file: Path) -> None:
    times = sorted(s.latency.T_total for s in results.per_sample_results if s.latency)
    # Seven questions about each of two pictures, of which one takes longer.
    budget = (times[6] + times[7]) / 2
    assert times[6] < times[7]
    policy = live.lookup(
        file=str(file), budget=budget, unit="latency_ms", preprocessing=PREPROCESSING
    )
    told = with_spending(results, policy, TierQA("test", max_samples=14))
    assert told.over_budget == 0.5
    (record,) = told.policies
    assert record.mean_cost == pytest.approx(sum(times) / 14)
    assert record.budget == budget
    assert record.share_of_points == {"low": 1.0, "high": 0.0}
    assert spending_metrics(told) == {
        "test/policy_mean_cost": record.mean_cost, "test/policy_budget": budget,
        "test/policy_share/low": 1.0, "test/policy_share/high": 0.0, "test/policy_over_budget": 0.5,
    }  # fmt: skip


def test_what_was_not_measured_is_not_recorded(results: EvaluationResults, file: Path) -> None:
    untimed = tuple(replace(s, latency=None) for s in results.per_sample_results)
    policy = live.lookup(
        file=str(file), budget="0.9x", unit="latency_ms", preprocessing=PREPROCESSING
    )
    told = with_spending(
        replace(results, per_sample_results=untimed), policy, TierQA("test", max_samples=14)
    )
    assert (told.policies, told.over_budget) == ((), None)


def test_earlier_passes_are_paid(results: EvaluationResults) -> None:
    first, *others = results.per_sample_results
    earlier = EarlierPass("high", 9, 1440, 1000, "", -1.0, 0.1, None)
    samples = (replace(first, earlier_passes=(earlier,)), *others)
    policy = live.cascade(points=["low", "high"], thresholds=[-1.0], preprocessing=PREPROCESSING)
    (record,) = with_spending(
        replace(results, per_sample_results=samples), policy, TierQA("test", max_samples=14)
    ).policies
    paid = [s.number("llm_vision_tokens") for s in results.per_sample_results]
    assert record.mean_cost == pytest.approx((sum(paid) + 1000) / 14)
    assert record.budget is None
