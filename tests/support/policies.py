"""Policies for tests: one that asks again, and some that cannot work."""

from __future__ import annotations

from collections.abc import Sequence

from tierexp.tiers.files import read_points
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.policy import PointAnswer, SampleView


class Doubt:
    """Begins with the first point, and goes on to the next while the answer is a question mark; a
    question that ends with an exclamation mark, about an image with a thumbnail of that size,
    begins with the second one.
    """

    name = "doubt"

    def __init__(self, points: object, geometry: CropGeometry) -> None:
        self.points = read_points(points, geometry)

    def choose(self, samples: Sequence[SampleView]) -> list[int]:
        return [int(s.question.endswith("!") and max(s.thumbnail(8).shape) == 8) for s in samples]

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> int | None:
        last = answers[-1]
        goes_on = last.text == "?" and last.point + 1 < len(self.points)
        return last.point + 1 if goes_on else None


class Wrong(Doubt):
    """Chooses what it is told to."""

    name = "wrong"

    def __init__(
        self, points: object, geometry: CropGeometry, first: int | None, then: int | None
    ) -> None:
        super().__init__(points, geometry)
        self._first, self._next = first, then

    def choose(self, samples: Sequence[SampleView]) -> list[int]:
        return [] if self._first is None else [self._first] * len(samples)

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> int | None:
        return self._next


class NoPolicy:
    """Lacks almost everything."""

    name = "none"


class Unsure(Doubt):
    """Asks again where the model is not sure."""

    name = "unsure"
    needs_confidence = True

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> int | None:
        (*_, last) = answers
        assert last.confidence is not None
        return 1 if last.point == 0 and last.confidence < -0.5 else None
