"""What a policy decides, what that costs, and the protocol that every policy serves.

In: a sweep, a unit and a budget. Out: for every question the points that are run and the one whose
answer counts. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierexp.policies.costs import Unit
from tierexp.policies.sweep import Sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """What was decided about N questions at P points.

    Args:
        passes: (N, P) bool: the points that are run, the cheapest first.
        final: (N,) int64: the point whose answer counts; it is among the passes.
    """

    passes: NDArray[np.bool_]
    final: NDArray[np.int64]

    def accuracy(self, sweep: Sweep) -> Floats:
        """(N,) scores of the answers that count."""
        scores: Floats = sweep.accuracy[np.arange(len(self.final)), self.final]
        return scores

    def cost(self, sweep: Sweep, unit: Unit, own: float = 0.0) -> Floats:
        """(N,) what all passes cost, what later ones share with earlier ones counted once.

        Args:
            sweep: Sweep of the questions.
            unit: Unit of the cost.
            own: What the deciding itself costs per question.
        """
        later = self.passes & (np.cumsum(self.passes, axis=1) > 1)
        paid = np.where(self.passes, sweep.cost(unit), 0.0)
        spent: Floats = (paid - np.where(later, sweep.shared[unit], 0.0)).sum(axis=1) + own
        return spent

    def shares(self, points: Sequence[str]) -> dict[str, float]:
        """Share of the questions whose answer each point gives."""
        counts = np.bincount(self.final, minlength=len(points))
        return {name: float(n / len(self.final)) for name, n in zip(points, counts, strict=True)}


Plan = Callable[[float], Decision]
"""From a budget, a mean cost per question, to what is decided."""


def single_pass(choice: NDArray[np.int64], points: int) -> Decision:
    """One point a question, chosen before anything is run.

    Args:
        choice: (N,) its number.
        points: How many there are.
    """
    return Decision(choice[:, None] == np.arange(points), choice)


class Policy(Protocol):
    """Decides with what a user would have; the oracle alone looks at scores."""

    @property
    def name(self) -> str:
        """Name of the option in the group `policy`."""

    @property
    def own_ms(self) -> float:
        """Milliseconds a question that the deciding takes."""

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """What it does with every budget.

        Args:
            sweep: A policy reads of it what its kind may know, and a pass's confidence only where
                it runs the pass.
            unit: Unit of the budgets.

        Returns:
            From a mean cost per question to the decision.
        """


def own_cost(policy: Policy, unit: Unit) -> float:
    """What the deciding costs per question, in a unit: its time, where time is what counts."""
    return policy.own_ms if unit == "latency_ms" else 0.0
