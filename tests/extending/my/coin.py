"""A policy of one's own: a seeded coin between operating points."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tierexp.tiers.files import read_points
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.policy import PointAnswer, SampleView


class Coin:
    """Any point, whatever the question.

    Args:
        points: As the configuration names them.
        geometry: Of the model's crops.
        seed: Of the run.
    """

    name = "coin"

    def __init__(self, points: object, geometry: CropGeometry, seed: int) -> None:
        self.points = read_points(points, geometry)
        self._seed = seed

    def choose(self, samples: Sequence[SampleView]) -> list[int]:
        coin = Random(self._seed)
        return [coin.randrange(len(self.points)) for _ in samples]

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> None:
        """One toss is enough."""
