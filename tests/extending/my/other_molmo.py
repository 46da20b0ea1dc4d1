"""A family of one's own: Molmo by another name, put together from its parts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.source import DEFAULT_KNOBS, KnobbedSource
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.inputs import MolmoInputs
from tierexp.tiers.geometry import CropGeometry


class Unmeasured:
    """A model that answers and does not know what that costs."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.generate = engine.generate
        self.run_blocks = engine.run_blocks

    @property
    def active_blocks(self) -> Sequence[int]:
        blocks: Sequence[int] = self._engine.active_blocks
        return blocks


@dataclass(frozen=True)
class OtherMolmo(KnobbedSource):
    """A model source.

    Args:
        checkpoint: A folder.
        name: How results call it.
        knobs: Control knobs and their settings.
        max_new_tokens: The longest answer.
        dtype: Of the weights.
    """

    checkpoint: str
    name: str
    knobs: tuple[Knob, ...] = DEFAULT_KNOBS
    max_new_tokens: int = 16
    dtype: str = "auto"
    molmo: MolmoCheckpoint = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "molmo", MolmoCheckpoint(self.checkpoint))
        self.check_knobs()

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(num_blocks=self.molmo.facts.num_blocks)

    @property
    def geometry(self) -> CropGeometry:
        return self.molmo.geometry

    @property
    def prompt_format(self) -> Any:
        return self.molmo.prompt_format

    @property
    def weights(self) -> Hashable:
        return type(self), self.molmo.weights

    def tokenizer(self) -> Any:
        return self.molmo.tokenizer()

    def inputs(self) -> MolmoInputs:
        return MolmoInputs(self.tokenizer(), self.molmo.config.mask_order)

    def load(self, device: Any) -> Unmeasured:
        model = Unmeasured(self.molmo.load(device))
        self.apply_knobs(model)
        return model
