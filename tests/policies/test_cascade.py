"""Cascades: what they run, what they pay, and what they must not look at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.policy_sweeps import sweep
from tierexp.errors import ConfigError, DataError
from tierexp.policies.cascade import Cascade, Chain, check_thresholds, fit_chains, run_chain


def test_doubt_goes_on_and_every_pass_is_paid() -> None:
    questions = sweep(images=5).select(np.arange(4))
    doubt = np.array([[-0.01, -5, -5], [-0.5, -0.01, -5], [-0.5, -0.3, -5], [-0.2, -0.01, -5]])
    questions = dataclasses.replace(questions, confidence=doubt)
    decision = run_chain(Chain((0, 1, 2), (-0.2, -0.1)), questions)
    # At the threshold an answer is kept.
    assert decision.final.tolist() == [0, 1, 2, 0]
    assert decision.passes.tolist() == [
        [True, False, False], [True, True, False], [True, True, True], [True, False, False]
    ]  # fmt: skip
    for unit, view in (("llm_vision_tokens", 0), ("selected_vision_tokens", 144)):
        cost = questions.cost(unit)  # type: ignore[arg-type]
        expected = [
            cost[0, 0], cost[1, :2].sum() - view, cost[2].sum() - 2 * view, cost[3, 0]
        ]  # fmt: skip
        assert decision.cost(questions, unit).tolist() == pytest.approx(expected)  # type: ignore[arg-type]


def test_a_chain_may_leave_a_point_out() -> None:
    questions = sweep(images=5)
    decision = run_chain(Chain((0, 2), (0.0,)), questions)
    assert not decision.passes[:, 1].any()
    assert set(decision.final) == {2}


def test_confidence_is_not_looked_at_where_no_pass_was_run() -> None:
    questions = sweep(images=20)
    cascade = Cascade({"llm_vision_tokens": fit_chains(questions, "llm_vision_tokens")})
    budget = float(questions.cost("llm_vision_tokens").mean())
    decision = cascade.plan(questions, "llm_vision_tokens")(budget)
    assert 0 < decision.passes[:, 1:].sum() < 2 * len(questions)
    hidden = np.where(decision.passes, questions.confidence, np.random.default_rng(0).normal())
    blind = dataclasses.replace(questions, confidence=hidden, accuracy=1 - questions.accuracy)
    again = cascade.plan(blind, "llm_vision_tokens")(budget)
    assert (again.final == decision.final).all()
    assert (again.passes == decision.passes).all()


def test_fitted_chains_get_dearer_and_better_and_beat_every_single_threshold() -> None:
    questions = sweep(images=20)
    chains = fit_chains(questions, "llm_vision_tokens")
    costs, accuracies = [c.mean_cost for c in chains], [c.accuracy for c in chains]
    assert costs == sorted(costs)
    assert accuracies == sorted(accuracies)
    for threshold in np.linspace(-0.5, 0, 21):
        decision = run_chain(Chain((0, 2), (float(threshold),)), questions)
        spent = decision.cost(questions, "llm_vision_tokens").mean()
        right = decision.accuracy(questions).mean()
        affordable = [a for c, a in zip(costs, accuracies, strict=True) if c <= spent * 1.02]
        assert max(affordable) >= right - 0.02


def test_a_threshold_that_no_answer_is_below_is_refused() -> None:
    questions = sweep(images=5)
    lowest = float(questions.confidence[:, 0].min())
    check_thresholds(Chain((0, 1, 2), (0.0, 0.0)), questions)
    with pytest.raises(ConfigError, match=r"policy\.thresholds.*no answer of low"):
        check_thresholds(Chain((0, 1, 2), (lowest, 0.0)), questions)
    with pytest.raises(ConfigError, match="no answer of medium"):
        check_thresholds(Chain((0, 1, 2), (0.0, -99.0)), questions)


def test_results_without_confidence_are_refused() -> None:
    questions = sweep(images=5)
    unknown = dataclasses.replace(questions, confidence=np.full(questions.confidence.shape, np.nan))
    with pytest.raises(DataError, match="no confidence"):
        fit_chains(unknown, "llm_vision_tokens")
