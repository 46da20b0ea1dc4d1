"""The router: predicts the chance of a right answer at every point, and spends the budget best.

In: what is cheap before anything is encoded. Out: a point for every question. The questions of a
run are known before the first is answered, so that the budget is met on them, not on those of the
fitting: the price is the one at which their mean cost is the budget. Costs in tokens follow from
the image's size and are known; times and operations are predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.imaging.resize import ResizeMode
from tierexp.policies.allocation import Choice, allocate
from tierexp.policies.chance import ChanceModel
from tierexp.policies.costs import Unit
from tierexp.policies.decision import Plan, own_cost, single_pass
from tierexp.policies.detail import Regions
from tierexp.policies.features import FeatureSpace, feature_table
from tierexp.policies.latency_model import CostModel
from tierexp.policies.questions import Questions
from tierexp.policies.sweep import Sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RouterParameters:
    """What fitting finds.

    Args:
        space: The features.
        chance: Chance of a right answer.
        resize: How images meet their canvas.
        own_ms: Milliseconds a question that features and prediction take.
        cost_models: By unit that cannot be known beforehand.
    """

    space: FeatureSpace
    chance: ChanceModel
    resize: ResizeMode
    own_ms: float
    cost_models: dict[str, CostModel]

    @property
    def units(self) -> tuple[str, ...]:
        """Units of costs that can be planned with."""
        return ("llm_vision_tokens", "selected_vision_tokens", *self.cost_models)


@dataclass(frozen=True, eq=False)
class Router:
    """See the head of this module.

    Args:
        parameters: As fitted.
        images: Regions by image key, where the features are of `detail`.
    """

    parameters: RouterParameters
    images: Mapping[str, Regions] | None
    name: str = "router"
    _known: list[tuple[Questions, Floats, Floats]] = field(default_factory=list, repr=False)
    """The questions that were last looked at, their features and chances."""

    @property
    def own_ms(self) -> float:
        """See `Policy`."""
        return self.parameters.own_ms

    def chances(self, asked: Questions) -> Floats:
        """(N, P) of a right answer."""
        return self._looked_at(asked)[1]

    def features(self, asked: Questions) -> Floats:
        """(N, P, F) that the chances go by."""
        return self._looked_at(asked)[0]

    def _looked_at(self, asked: Questions) -> tuple[Floats, Floats]:
        """A replay asks about the same questions again and again."""
        if not (self._known and self._known[0][0] is asked):
            p = self.parameters
            table = feature_table(p.space, asked, self.images, p.resize)
            rows = table.reshape(-1, table.shape[2])
            self._known[:] = [(asked, table, p.chance.predict(rows).reshape(table.shape[:2]))]
        _, table, chances = self._known[0]
        return table, chances

    def planned_cost(self, asked: Questions, unit: Unit) -> Floats:
        """(N, P) as far as it can be known before an answer is given.

        Raises:
            DataError: The policy was fitted on results without the unit.
        """
        if unit == "llm_vision_tokens":
            return asked.llm_vision_tokens
        if unit == "selected_vision_tokens":
            return asked.selected_vision_tokens
        if unit not in self.parameters.cost_models:
            raise DataError(f"the policy was fitted on results without {unit}; latency=on has it")
        return self.parameters.cost_models[unit].predict(asked)

    def plan(self, sweep: Sweep, unit: Unit) -> Plan:
        """See `Policy`."""
        choose = self.chooser(sweep.asked, unit)
        return lambda budget: single_pass(choose(budget), len(sweep.points))

    def chooser(self, asked: Questions, unit: Unit) -> Callable[[float], Choice]:
        """From a budget to the number of every question's point, (N,)."""
        own = own_cost(self, unit)
        allocation = allocate(self.chances(asked), self.planned_cost(asked, unit))
        return lambda budget: allocation.within(budget - own)
