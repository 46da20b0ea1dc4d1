"""What cannot be plugged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.tiers.geometry import CropGeometry

NO_SETTINGS = 3


@dataclass(frozen=True)
class NoMethod(Knob):
    name: ClassVar[str] = "broken"

    def check(self, facts: ModelFacts) -> None:
        """Nothing to check."""


class NoModel:
    name = "broken"

    def __init__(self) -> None:
        self.geometry = CropGeometry()


class NoLength:
    name = "broken"
    score = "exact_match"

    def __getitem__(self, index: int) -> None:
        """No sample."""

    def image_size(self, index: int) -> tuple[int, int]:
        return 1, 1

    def image_key(self, index: int) -> str:
        return ""

    def image(self, index: int) -> None:
        """No image."""
