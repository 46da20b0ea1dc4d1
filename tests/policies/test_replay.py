"""Replaying: who decides by what, and the frontier's figures beside a count by hand."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from tests.support.policy_sweeps import sweep
from tierexp.errors import ConfigError
from tierexp.policies.chance import Boosting
from tierexp.policies.decision import Policy
from tierexp.policies.features import GROUPS
from tierexp.policies.fitting import fit_policy
from tierexp.policies.oracle import Oracle
from tierexp.policies.policy_file import FittedName, PolicyFile, policy_of
from tierexp.policies.replay import (
    PolicyRecord,
    against_points,
    against_policy,
    area_won,
    budgets_between,
    check_budget,
    frontier,
    hull_of,
    replay,
)
from tierexp.policies.static import Mixture, point_figures
from tierexp.policies.sweep import Sweep

UNIT = "llm_vision_tokens"
FAST = Boosting(trees=25)


@pytest.fixture(scope="module")
def questions() -> Sweep:
    return sweep(images=30)


@cache
def fitted(policy: FittedName) -> PolicyFile:
    """To `questions`."""
    return fit_policy(policy, sweep(images=30), GROUPS, FAST)[0]


@pytest.fixture(scope="module", params=["lookup", "mixture", "router", "cascade"])
def policy(request: pytest.FixtureRequest, questions: Sweep) -> Policy:
    return policy_of(fitted(request.param), questions)


def test_no_policy_but_the_oracle_looks_at_scores(policy: Policy, questions: Sweep) -> None:
    other = dataclasses.replace(questions, accuracy=1 - questions.accuracy)
    before, after = (replay(policy, each, UNIT).plan for each in (questions, other))
    for budget in budgets_between(questions, UNIT, 7):
        assert (before(budget).final == after(budget).final).all()


def test_records_are_what_a_count_by_hand_gives(policy: Policy, questions: Sweep) -> None:
    replayed = replay(policy, questions, UNIT)
    budgets = budgets_between(questions, UNIT, 5)
    for budget, found in zip(budgets, frontier(replayed, budgets), strict=True):
        decision = replayed.plan(budget)
        right = spent = 0.0
        counts = dict.fromkeys(questions.points, 0)
        for row in range(len(questions)):
            right += questions.accuracy[row, decision.final[row]]
            counts[questions.points[decision.final[row]]] += 1
            spent += sum(questions.costs[UNIT][row, decision.passes[row]])
        assert found.accuracy == pytest.approx(right / len(questions))
        assert found.mean_cost == pytest.approx(spent / len(questions))
        shares = {name: count / len(questions) for name, count in counts.items()}
        assert found.share_of_points == pytest.approx(shares)
        means = questions.costs[UNIT].mean(axis=0)
        mixed = np.interp(found.mean_cost, means, questions.accuracy.mean(axis=0))
        assert found.above_mixture == pytest.approx(found.accuracy - mixed)  # all three are corners
        assert found.ci95[0] <= found.accuracy <= found.ci95[1]


def test_a_record_has_the_fields_that_readers_rely_on() -> None:
    assert [field.name for field in dataclasses.fields(PolicyRecord)] == [
        "policy", "points", "unit", "budget", "mean_cost", "accuracy", "ci95", "share_of_points",
        "above_mixture",
    ]  # fmt: skip


def test_the_router_keeps_the_budget_on_questions_it_was_not_fitted_on() -> None:
    unseen = sweep(split="test", images=20)
    plan = replay(policy_of(fitted("router"), unseen), unseen, UNIT).plan
    for budget in budgets_between(unseen, UNIT, 9):
        spent = plan(budget).cost(unseen, UNIT).mean()
        assert spent <= budget + 1e-6
    # Between the two ends it uses it up, to one question's step.
    middle = budgets_between(unseen, UNIT, 9)[4]
    step = np.ptp(unseen.costs[UNIT], axis=1).max() / len(unseen)
    assert middle - plan(middle).cost(unseen, UNIT).mean() <= step


def test_the_oracle_is_the_most_that_can_be_right(questions: Sweep) -> None:
    means = budgets_between(questions, UNIT, 5)
    best = frontier(replay(Oracle(), questions, UNIT), means)[-1]
    assert best.accuracy == pytest.approx(questions.accuracy.max(axis=1).mean())
    cheapest = np.where(questions.accuracy == questions.accuracy.max(axis=1, keepdims=True),
                        questions.costs[UNIT], np.inf).min(axis=1)  # fmt: skip
    assert best.mean_cost == pytest.approx(cheapest.mean())
    assert area_won(replay(Oracle(), questions, UNIT), means).share == pytest.approx(1)


def test_a_mixture_wins_nothing(questions: Sweep) -> None:
    budgets = budgets_between(questions, UNIT, 21)
    replayed = replay(Mixture(point_figures(questions)), questions, UNIT)
    area = area_won(replayed, budgets)
    assert abs(area.share) < 0.12
    assert area.share_ci95[0] < area.share < area.share_ci95[1]


def test_a_router_that_knows_the_kind_of_question_wins(questions: Sweep) -> None:
    file, _ = fit_policy("router", questions, ("words",), FAST)
    unseen = sweep(split="test", images=40)
    replayed = replay(policy_of(file, unseen), unseen, UNIT)
    area = area_won(replayed, budgets_between(unseen, UNIT, 21))
    assert area.share > 0.3
    low, medium, high = against_points(replayed)
    assert low.other == "low"
    assert medium.difference > 0
    assert medium.ci95[0] < medium.difference < medium.ci95[1]
    assert abs(high.difference) < 0.05


def test_against_itself_a_policy_gains_nothing(questions: Sweep) -> None:
    replayed = replay(Oracle(), questions, UNIT)
    (same,) = against_policy(replayed, replayed, "oracle", [700.0])
    assert (same.difference, same.ci95) == (0.0, (0.0, 0.0))
    assert same.mean_cost == same.other_cost


def test_budgets_outside_the_points_are_refused(questions: Sweep) -> None:
    means = questions.costs[UNIT].mean(axis=0)
    check_budget(float(means.min()), "min", questions, UNIT)
    check_budget(float(means.max()), "max", questions, UNIT)
    for budget in (means.min() - 1, means.max() + 1):
        with pytest.raises(ConfigError, match=r"policy\.budget.*of low, to .* of high"):
            check_budget(float(budget), float(budget), questions, UNIT)


def test_the_hull_is_of_these_questions(questions: Sweep) -> None:
    hull = hull_of(questions, UNIT)
    assert hull.costs == pytest.approx(questions.costs[UNIT].mean(axis=0))
    assert hull.accuracies == pytest.approx(questions.accuracy.mean(axis=0))
