"""Spending a budget: every choice is listed by brute force and compared."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tierexp.policies.allocation import allocate


def choices(worth: np.ndarray, cost: np.ndarray) -> list[tuple[float, float]]:
    """(mean cost, mean worth) of every choice."""
    samples, options = worth.shape
    rows = np.arange(samples)
    return [
        (float(cost[rows, list(c)].mean()), float(worth[rows, list(c)].mean()))
        for c in product(range(options), repeat=samples)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_each_breakpoint_is_the_best_that_its_cost_can_buy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.random((5, 3)).round(1 if seed % 2 else 6)  # with ties, and without
    cost = rng.integers(1, 9, (5, 3)).astype(float)
    every, rows = choices(worth, cost), np.arange(5)
    allocation = allocate(worth, cost)
    for moves in range(len(allocation.sample) + 1):
        choice = allocation.at(moves)
        spent, gained = cost[rows, choice].mean(), worth[rows, choice].mean()
        assert gained == pytest.approx(max(w for c, w in every if c <= spent + 1e-12))
        if moves:
            assert allocation.mean_cost[moves - 1] == pytest.approx(spent)


@pytest.mark.parametrize("seed", range(20))
def test_a_budget_is_kept_and_missed_by_less_than_one_move(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth, cost = rng.random((200, 4)), rng.integers(100, 2000, (200, 4)).astype(float)
    allocation, rows = allocate(worth, cost), np.arange(200)
    for budget in np.linspace(cost.min(axis=1).mean(), cost.max(axis=1).mean(), 17):
        choice = allocation.within(float(budget))
        spent = cost[rows, choice].mean()
        assert spent <= budget + 1e-9
        if spent < allocation.mean_cost[-1] - 1e-9:
            assert budget - spent < np.ptp(cost) / 200


@pytest.mark.parametrize("price", [0.0001, 0.0003, 0.0007, 0.002])
def test_a_price_gives_every_sample_its_best_worth_less_price(price: float) -> None:
    rng = np.random.default_rng(3)
    worth, cost = rng.random((300, 4)), rng.integers(100, 2000, (300, 4)).astype(float)
    chosen = allocate(worth, cost).priced(price)
    assert (chosen == (worth - price * cost).argmax(axis=1)).all()


def test_nothing_is_paid_for_a_worse_answer() -> None:
    worth, cost = np.array([[0.9, 0.4, 0.9], [0.2, 0.2, 0.1]]), np.array([[1.0, 2, 3]] * 2)
    allocation = allocate(worth, cost)
    assert allocation.within(100.0).tolist() == [0, 0]
    assert len(allocation.sample) == 0


def test_a_budget_that_is_a_choices_own_cost_is_met_by_it() -> None:
    worth, cost = np.array([[0.1, 0.5], [0.1, 0.6], [0.1, 0.7]]), np.array([[0.1, 0.4]] * 3)
    allocation = allocate(worth, cost)
    assert allocation.within((0.1 + 0.1 + 0.4) / 3).tolist() == [0, 0, 1]
    assert allocation.within(0.4).tolist() == [1, 1, 1]
