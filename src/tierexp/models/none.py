"""No model, for runs that ask only what a tier does to images (`model=none`)."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.tiers.geometry import CropGeometry


@dataclass(frozen=True)
class NoModel:
    """Stands where a `ModelSource` would: it has crops, Molmo's, and answers nothing."""

    @property
    def name(self) -> str:
        """How results call it."""
        return "none"

    @property
    def geometry(self) -> CropGeometry:
        """The crops of the released Molmo models."""
        return CropGeometry()
