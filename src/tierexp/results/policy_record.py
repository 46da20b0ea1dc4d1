"""What a policy spent and reached, as results keep it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PolicyRecord:
    """What one policy does with one budget.

    Args:
        policy: Its name.
        points: It chooses from.
        unit: Unit of the costs.
        budget: Mean cost per question it was given; None where thresholds by hand take its place.
        mean_cost: Mean cost it had, all passes and its own deciding included.
        accuracy: Mean score.
        ci95: 95 % interval of the accuracy, images drawn as a whole.
        share_of_points: Fraction of the questions whose answer each point gives.
        above_mixture: Accuracy less that of the best random mixture of the points at this cost;
            None where no answers of the single points are at hand.
    """

    policy: str
    points: tuple[str, ...]
    unit: str
    budget: float | None
    mean_cost: float
    accuracy: float
    ci95: tuple[float, float]
    share_of_points: dict[str, float]
    above_mixture: float | None


def point_label(point: str) -> str:
    """The name of a point, short enough for tables and figures: `high diverse:357`."""
    return point.replace("reduction=", "")
