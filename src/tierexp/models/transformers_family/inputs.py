"""Samples as a family's own processor hands them to its model.

In: images at the sizes that their tier gives them, and questions. Out: rows, and batches: what the
library's processor makes of them, tensor by tensor. An `InputBuilder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing, SizedImage
from tierexp.tiers.geometry import CropGeometry, Tiling


@dataclass(frozen=True)
class FamilyRow:
    """One sample.

    Args:
        image: At the size of its grid.
        question: As it is put to the model.
    """

    image: SizedImage
    question: str


@dataclass(frozen=True)
class ProcessedRows:
    """Rows that share settings of the processor, processed together.

    Args:
        places: Places of the rows in their batch, ascending.
        tensors: As the processor names them.
    """

    places: tuple[int, ...]
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class FamilyInputs:
    """A batch; `BatchInputs`.

    Args:
        rows: What it was made of.
        parts: Every row in one of them.
        builder: That made it.
    """

    rows: tuple[FamilyRow, ...]
    parts: tuple[ProcessedRows, ...]
    builder: FamilyInputBuilder

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def views(self) -> int:
        """The vision tokens of the largest image: batches of as many take as much memory."""
        return max(row.image.vision_tokens for row in self.rows)

    def to(self, device: torch.device, non_blocking: bool = False) -> FamilyInputs:
        """The same batch on `device`."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> FamilyInputs:
        """The same batch in page-locked memory."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def select(self, rows: range) -> FamilyInputs:
        """Consecutive rows, processed anew: they may need less padding."""
        device = next(iter(self.parts[0].tensors.values())).device
        return self.builder.collate(self.rows[rows.start : rows.stop]).to(device)

    def _moved(self, move: Any) -> FamilyInputs:
        parts = tuple(
            replace(part, tensors={name: move(tensor) for name, tensor in part.tensors.items()})
            for part in self.parts
        )
        return replace(self, parts=parts)


class FamilyInputBuilder:
    """An `InputBuilder`.

    Args:
        processor: The checkpoint's.
        preset: The family, and the arguments of every call of the processor.
    """

    def __init__(self, processor: Any, preset: Preset) -> None:
        self._processor = processor
        self._preset = preset
        self._arguments = dict(preset.arguments)

    def image(
        self, pixels: NDArray[np.uint8], tiling: Tiling, preprocessing: Preprocessing
    ) -> SizedImage:
        """See `InputBuilder`."""
        return FamilyPreprocessing.like(self._preset, preprocessing).sized(pixels, tiling)

    def row(
        self, image: SizedImage, tiling: Tiling, geometry: CropGeometry, question: str
    ) -> FamilyRow:
        """See `InputBuilder`."""
        del tiling, geometry
        return FamilyRow(image, question)

    def collate(self, rows: Sequence[FamilyRow]) -> FamilyInputs:
        """See `InputBuilder`."""
        alike: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(repr(row.image.settings), []).append(place)
        parts = tuple(
            ProcessedRows(tuple(places), self._process([rows[place] for place in places]))
            for places in alike.values()
        )
        return FamilyInputs(tuple(rows), parts, self)

    def prompt(self, question: str) -> str:
        """The text of a question after its image, by the checkpoint's chat template."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        # Not by the processor, some of which ask their part for videos.
        text: str = self._processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=self._processor.chat_template,
            add_generation_prompt=True,
            tokenize=False,
        )
        return text

    def _process(self, rows: Sequence[FamilyRow]) -> dict[str, Tensor]:
        texts = [self.prompt(row.question) for row in rows]
        begin = self._processor.tokenizer.bos_token
        # A template that writes the start of the sequence leaves none to the tokenizer.
        begun = begin is not None and texts[0].startswith(begin)
        made = self._processor(
            images=[[Image.fromarray(row.image.pixels)] for row in rows],
            text=texts,
            padding=True,
            add_special_tokens=not begun,
            return_tensors="pt",
            **self._arguments,
            **dict(rows[0].image.settings),
        )
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}
