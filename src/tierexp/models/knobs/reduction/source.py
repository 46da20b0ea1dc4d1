"""What every model source does with the group `reduction`, beside its knobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tierexp.errors import ConfigError
from tierexp.models.knobs.knob import KnobValue
from tierexp.models.knobs.reduction.settings import Reduction
from tierexp.models.knobs.source import KnobbedSource


class ReducingSource(KnobbedSource):
    """Base of a frozen dataclass that is a `ModelSource` and has the fields `knobs` and
    `reduction`; its model has an attribute `token_reduction`.
    """

    reduction: Reduction

    @property
    def knob_values(self) -> dict[str, KnobValue]:
        """See `ModelSource`; the reduction among them where there is one."""
        reduces = self.reduction.method != "none"
        return super().knob_values | ({"reduction": self.reduction.label} if reduces else {})

    def check_reduction(self, methods: Iterable[str], name: str) -> None:
        """Refuse what is no reduction, or one that the model cannot serve.

        Args:
            methods: That it serves.
            name: Name of the model.

        Raises:
            ConfigError: There is one.
        """
        given: object = self.reduction
        if not isinstance(given, Reduction):
            allowed = "left out: the group reduction says which vision tokens are kept"
            raise ConfigError("model.reduction", given, allowed)
        running = self.knob_values.get("num_active_blocks") or self.facts.num_blocks
        assert running is not None
        self.reduction.check(methods, name, int(running))

    def apply_knobs(self, model: object) -> None:
        """See `ModelSource`; which vision tokens are kept among them."""
        super().apply_knobs(model)
        reducing: Any = model
        reducing.token_reduction = self.reduction
