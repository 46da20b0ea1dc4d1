"""What a knob is: settings that change how a loaded model answers, not which weights it has.

In: values of the group `model`. Out: a model that is set to them, and set back. Imports no torch;
what is impossible is refused in one line, before weights are read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

KnobValue = int | float | str | bool | None
"""What results record of a knob."""

Undo = Callable[[], None]
"""Sets a model back to what it was."""


@dataclass(frozen=True)
class ModelFacts:
    """What knobs are checked against, known before weights are read.

    Args:
        num_blocks: Transformer blocks of the decoder; None where it is no stack of them.
        num_experts: Experts per block; None for a dense model.
        experts_per_token: That a token visits as the checkpoint has it; None for a dense model.
    """

    num_blocks: int | None = None
    num_experts: int | None = None
    experts_per_token: int | None = None


class Knob(Protocol):
    """Settings of one knob. A subclass is a frozen dataclass, whose fields are keys of the group
    `model`; its option in the group `knob` gives them their defaults.
    """

    name: ClassVar[str]
    """How results call it."""

    @abstractmethod
    def check(self, facts: ModelFacts) -> None:
        """Refuse what the model cannot be set to.

        Raises:
            ConfigError: A setting that is impossible for the model.
        """

    @abstractmethod
    def value(self, facts: ModelFacts) -> KnobValue:
        """What results record: what the settings come to with this model."""

    @abstractmethod
    def apply(self, model: Any, facts: ModelFacts) -> Undo | None:
        """Set a loaded model.

        Args:
            model: As its family has it, such as `MolmoEngine`.
            facts: Facts of the model.

        Returns:
            What sets it back; None where nothing was changed.
        """

    def fingerprint(self, facts: ModelFacts) -> str:  # noqa: ARG002
        """What would go unnoticed in a configuration, such as the content of a file that it names:
        a run that is resumed must share it.
        """
        return ""
