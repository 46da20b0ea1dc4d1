"""The schema of `replay.json`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.policies.calibration import CalibrationBin
from tierexp.policies.reasons import Example
from tierexp.policies.replay import Area, Difference
from tierexp.policies.static import Hull
from tierexp.results.policy_record import PolicyRecord

SCHEMA_VERSION = 1
FILE_NAME = "replay.json"


@dataclass(frozen=True)
class ReplayResults:
    """`replay.json`.

    Args:
        schema_version: Schema version of these fields.
        kind: `replay`.
        dataset: Name of the data set.
        model: Name of the model.
        num_samples: Questions.
        left_out: Questions that some run has no answer to.
        notes: In what the policy meets something else than it was fitted on.
        at_budget: The policy at the budget that was asked for.
        frontier: The policy at budgets from the cheapest point's mean cost to the dearest's.
        oracle: The bound at the same budgets.
        hull: The random mixtures of the points.
        points: Every static point.
        area: Between the mixture and the frontier.
        against_points: Beside every static point, given its mean cost.
        against: Beside the policy that was named, at the points' mean costs and the budget.
        own_ms: Milliseconds a question that the deciding takes.
        calibration: Calibration of a router's chances.
        examples: Questions that it sent up and down, and why.
        over_budget: With a unit of time: share of the answers that took longer than the budget.
    """

    schema_version: int
    kind: str
    dataset: str
    model: str | None
    num_samples: int
    left_out: int
    notes: tuple[str, ...]
    at_budget: PolicyRecord
    frontier: tuple[PolicyRecord, ...]
    oracle: tuple[PolicyRecord, ...]
    hull: Hull
    points: tuple[PolicyRecord, ...]
    area: Area
    against_points: tuple[Difference, ...]
    against: tuple[Difference, ...]
    own_ms: float
    calibration: tuple[CalibrationBin, ...]
    examples: tuple[Example, ...]
    over_budget: float | None
