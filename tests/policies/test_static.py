"""Lookup and mixture, and the hull of random mixtures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tests.support.policy_sweeps import sweep
from tierexp.policies.static import Lookup, Mixture, mixture_hull, point_figures


@pytest.mark.parametrize("seed", range(30))
def test_no_mixture_of_two_points_is_above_the_hull(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, accuracies = rng.integers(1, 6, 5).astype(float), rng.random(5).round(1)
    hull = mixture_hull(list(costs), list(accuracies))
    for cost in np.linspace(costs.min(), costs.max(), 23):
        best = max([
            *(accuracies[n] for n in range(5) if costs[n] <= cost),
            *(
                accuracies[a] + (accuracies[b] - accuracies[a]) * (cost - costs[a])
                / (costs[b] - costs[a])
                for a, b in combinations(np.argsort(costs), 2) if costs[a] < cost < costs[b]
            ),
        ])  # fmt: skip
        assert float(hull.accuracy(cost)) == pytest.approx(best)


def test_the_hull_of_the_three_tiers() -> None:
    """The figures of the README: all three are corners; half-way costs half of both."""
    hull = mixture_hull([357, 709, 1213], [0.630, 0.787, 0.853])
    assert hull.points == (0, 1, 2)
    assert float(hull.accuracy(533)) == pytest.approx((0.630 + 0.787) / 2)
    assert hull.shares(835) == (1, 2, pytest.approx(0.25))
    assert hull.shares(100) == (0, 0, 0.0)
    assert hull.shares(9000) == (2, 2, 0.0)


def test_lookup_takes_the_best_point_that_the_budget_pays_for() -> None:
    questions = sweep(images=8)
    plan = Lookup(point_figures(questions)).plan(questions, "llm_vision_tokens")
    means = questions.cost("llm_vision_tokens").mean(axis=0)
    for point, mean in enumerate(means):
        assert set(plan(float(mean)).final) == {point}
        assert set(plan(float(mean) + 1).final) == {point}
    assert set(plan(float(means[0]) - 1).final) == {0}


def test_the_mixture_spends_its_budget_and_not_by_the_order() -> None:
    questions = sweep(images=40)
    mixture = Mixture(point_figures(questions), seed=1)
    budget = float(questions.cost("llm_vision_tokens").mean())
    decision = mixture.plan(questions, "llm_vision_tokens")(budget)
    spent = decision.cost(questions, "llm_vision_tokens").mean()
    assert spent == pytest.approx(budget, rel=0.06)
    order = np.random.default_rng(0).permutation(len(questions))
    shuffled = mixture.plan(questions.select(order), "llm_vision_tokens")(budget)
    assert (shuffled.final == decision.final[order]).all()
    other = Mixture(point_figures(questions), seed=2).plan(questions, "llm_vision_tokens")(budget)
    assert (other.final != decision.final).any()
