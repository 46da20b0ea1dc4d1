"""What cannot be plugged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierexp.models.knobs.knob import Knob, ModelFacts

NO_SETTINGS = 3


@dataclass(frozen=True)
class NoMethod(Knob):
    name: ClassVar[str] = "broken"

    def check(self, facts: ModelFacts) -> None:
        """Nothing to check."""
