"""What decides how each sample is answered: the operating point, a crop rule and settings of knobs.

In: samples, as far as they are known before anything is encoded. Out: for each the number of a
point; and, once a point has given its answer, whether another one is to be asked. One point for all
samples, a tier, a fixed count or Molmo's own rule, is the policy `StaticPolicy`. Imports no torch;
knows nothing about how points are run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule


@dataclass(frozen=True)
class OperatingPoint:
    """One way of answering.

    Args:
        name: How results call it; no two points of a policy share one.
        tier: The rule for tilings.
        knobs: Settings of the group `model` that this point changes, such as `{"top_k": 1}`; what
            is not named stays as the run has it.
    """

    name: str
    tier: CropRule
    knobs: Mapping[str, object] = field(default_factory=dict)


class SampleView(Protocol):
    """What a policy may know of a sample before it is answered. Never its answers, its task or its
    name, which no user's question comes with.
    """

    @property
    def question(self) -> str:
        """As it is put to the model."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image, in pixels."""

    @property
    def image_key(self) -> str:
        """Equal for samples that ask about the same image, so that what is computed of an image can
        be kept.
        """

    def thumbnail(self, side: int) -> NDArray[np.uint8]:
        """The image, scaled down so that its longer side has at most `side` pixels, (h, w, 3) RGB.

        It is decoded when it is asked for, and never for a policy that does not ask.

        Raises:
            ImageDecodeError: It cannot be decoded.
        """


@dataclass(frozen=True)
class PointAnswer:
    """What a point has answered to a sample.

    Args:
        point: Its number.
        text: The answer.
        confidence: Mean log-probability of the answer's tokens; None where the model tells none.
        first_margin: Probability of the answer's first token less that of its closest rival; None
            where the model tells none.
    """

    point: int
    text: str
    confidence: float | None
    first_margin: float | None


class Policy(Protocol):
    """What decides. The same for the same samples, in every process and after every interruption.

    An object with these members can stand in `conf/policy`, in a configuration folder of one's own
    too.
    """

    @property
    def name(self) -> str:
        """How results and charts call it, where they would name a tier."""

    @property
    def points(self) -> Sequence[OperatingPoint]:
        """Everything it may choose, at least one."""

    def choose(self, samples: Sequence[SampleView]) -> Sequence[int]:
        """The number of the first point of every sample, all samples of a run at once, so that a
        budget can be shared out among them.

        Args:
            samples: Those whose image's size is known, in the data set's order.
        """

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> int | None:
        """The number of the point to ask next; None keeps the last answer.

        Args:
            sample: That has been answered.
            answers: So far, in order. A point that has answered is not asked again.
        """


@dataclass(frozen=True)
class StaticPolicy:
    """One crop rule for all samples, and the model's knobs as they are.

    Args:
        tier: The rule.
    """

    tier: CropRule

    @property
    def name(self) -> str:
        """The rule's."""
        return self.tier.name

    @property
    def points(self) -> tuple[OperatingPoint]:
        """The only one."""
        return (OperatingPoint(self.tier.name, self.tier),)

    def choose(self, samples: Sequence[SampleView]) -> Sequence[int]:
        """The only one, for all."""
        return [0] * len(samples)

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> None:  # noqa: ARG002
        """Never."""
        return


def crop_range(policy: Policy) -> tuple[int, int]:
    """Fewest and most crops that a policy may choose."""
    rules = [point.tier for point in policy.points]
    return min(rule.min_crops for rule in rules), max(rule.max_crops for rule in rules)


def expected_tokens(policy: Policy, geometry: CropGeometry) -> int:
    """A token budget to expect: that of the dearest point, as samples have to earn less."""
    return max(point.tier.expected_tokens(geometry) for point in policy.points)
