"""A knob of one's own: every n-th vision token is dropped before the language model reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from tierexp.config.checks import whole_number
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs


@dataclass(frozen=True)
class EverySecond(Knob):
    """Drops vision tokens in the order of the prompt.

    Args:
        drop_every: Of so many vision tokens the last is dropped.
    """

    name: ClassVar[str] = "drop"
    drop_every: int

    def check(self, facts: ModelFacts) -> None:
        whole_number("model.drop_every", self.drop_every, 2)

    def value(self, facts: ModelFacts) -> str:
        return f"every {self.drop_every}"

    def apply(self, model: MolmoEngine, facts: ModelFacts) -> Callable[[], None]:
        model.own_reduction = self.drop
        return lambda: setattr(model, "own_reduction", None)

    def drop(self, inputs: ModelInputs, features: Tensor) -> tuple[ModelInputs, Tensor]:
        kept = inputs.attention_mask.clone()  # (B, T)
        for row, places in zip(kept, inputs.image_input_idx, strict=True):
            row[places[places >= 0].sort().values[self.drop_every - 1 :: self.drop_every]] = False
        length = int(kept.sum(dim=1).max())
        # Where each token goes, prompts padded on the left as before.
        moved = kept.long().cumsum(dim=1) - 1 + (length - kept.sum(dim=1, keepdim=True))
        ids = inputs.input_ids.new_zeros(len(kept), length)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        rows, columns = kept.nonzero(as_tuple=True)
        ids[rows, moved[rows, columns]] = inputs.input_ids[rows, columns]
        mask[rows, moved[rows, columns]] = True
        flat = inputs.image_input_idx.flatten(1)  # (B, N * K)
        at = flat.clamp(min=0)
        stays = (flat >= 0) & kept.gather(1, at)
        places = moved.gather(1, at).where(stays, -100).view_as(inputs.image_input_idx)
        return replace(inputs, input_ids=ids, attention_mask=mask, image_input_idx=places), features
