"""What goes to a server for a sample: an image at the size its tier gives it, as PNG, and the
question.

In: an image's pixels, its grid, a question. Out: rows, and batches of rows. An `InputBuilder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing, SizedImage
from tierexp.models.served.png import png
from tierexp.tiers.geometry import CropGeometry, Tiling

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ServedImage:
    """An image as rows share it; a `PreparedImage`.

    Args:
        file: PNG: upright, RGB, 8 bits.
        sized: The image and what it costs.
    """

    file: bytes
    sized: SizedImage

    @property
    def actual_vision_tokens(self) -> int:
        """See `PreparedImage`, as for the others."""
        return self.sized.actual_vision_tokens

    @property
    def actual_crop_tokens(self) -> int:
        """See there."""
        return self.sized.actual_crop_tokens

    @property
    def content_kept(self) -> float:
        """See there."""
        return self.sized.content_kept

    @property
    def padding_fraction(self) -> float:
        """See there."""
        return self.sized.padding_fraction


@dataclass(frozen=True)
class ServedRow:
    """One sample.

    Args:
        file: PNG.
        question: As it is put to the model.
        settings: Settings of the server's processor that the tier needs to differ, as pairs.
        vision_tokens: Tokens of the image, by the family's plan.
        marks: Around them, by the plan; at most, as the plan counts a token a byte.
    """

    file: bytes
    question: str
    settings: tuple[tuple[str, object], ...]
    vision_tokens: int
    marks: int


@dataclass(frozen=True)
class ServedInputs:
    """A batch; `BatchInputs`.

    Args:
        rows: At least one.
    """

    rows: tuple[ServedRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def views(self) -> int:
        """1: how much memory an image takes is the server's business."""
        return 1

    def to(self, device: torch.device, non_blocking: bool = False) -> ServedInputs:  # noqa: ARG002
        """The same: nothing of it is on a device."""
        return self

    def select(self, rows: range) -> ServedInputs:
        """Consecutive rows."""
        return ServedInputs(self.rows[rows.start : rows.stop])

    def pin_memory(self) -> ServedInputs:
        """The same."""
        return self


class ServedInputBuilder:
    """An `InputBuilder`.

    Args:
        preset: The family that the server runs.
    """

    def __init__(self, preset: Preset) -> None:
        self._preset = preset

    def image(
        self, pixels: NDArray[np.uint8], tiling: Tiling, preprocessing: Preprocessing
    ) -> ServedImage:
        """See `InputBuilder`."""
        sized = FamilyPreprocessing.like(self._preset, preprocessing).sized(pixels, tiling)
        return ServedImage(png(sized.pixels), sized)

    def row(
        self, image: ServedImage, tiling: Tiling, geometry: CropGeometry, question: str
    ) -> ServedRow:
        """See `InputBuilder`."""
        del tiling, geometry
        sized = image.sized
        return ServedRow(image.file, question, sized.settings, sized.vision_tokens, sized.marks)

    def collate(self, rows: Sequence[ServedRow]) -> ServedInputs:
        """See `InputBuilder`."""
        return ServedInputs(tuple(rows))
