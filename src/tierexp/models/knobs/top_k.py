"""Experts per token: the knob of a mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tierexp.config.checks import optional_whole_number
from tierexp.errors import ConfigError
from tierexp.models.knobs.knob import Knob, ModelFacts, Undo


@dataclass(frozen=True)
class TopK(Knob):
    """How many experts every token visits.

    Args:
        top_k: From 1 to as many as there are; None for the checkpoint's own number.
    """

    name: ClassVar[str] = "top_k"
    top_k: int | None = None

    def check(self, facts: ModelFacts) -> None:
        """See `Knob`."""
        if self.top_k is None:
            return
        if facts.num_experts is None:
            allowed = "only null, this model has no experts to choose"
            raise ConfigError("model.top_k", self.top_k, allowed)
        optional_whole_number("model.top_k", self.top_k, 1, facts.num_experts)

    def value(self, facts: ModelFacts) -> int | None:
        """Experts per token; None for a dense model."""
        return facts.experts_per_token if self.top_k is None else self.top_k

    def apply(self, model: Any, facts: ModelFacts) -> Undo | None:
        """Set `model.top_k`."""
        if facts.num_experts is None:
            return None
        before, model.top_k = model.top_k, self.value(facts)
        return lambda: setattr(model, "top_k", before)
