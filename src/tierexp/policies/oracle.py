"""The bound: who knows every score beforehand and spends the budget best. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.policies.allocation import allocate
from tierexp.policies.costs import Unit
from tierexp.policies.decision import Decision, Plan, single_pass
from tierexp.policies.sweep import Sweep


@dataclass(frozen=True)
class Oracle:
    """The cheapest right point of every question, as far as the budget goes."""

    name: str = "oracle"
    own_ms: float = 0.0

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """See `Policy`."""
        allocation = allocate(sweep.accuracy, sweep.cost(unit))

        def decide(budget: float) -> Decision:
            return single_pass(allocation.within(budget), len(sweep.points))

        return decide
