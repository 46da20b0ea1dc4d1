"""No model, for runs that ask only what a tier does to images (`model=none`)."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.config.checks import choice
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.registry import preset, presets
from tierexp.tiers.geometry import CropGeometry

MOLMO = "molmo"
"""The family whose tilings and resizing are this project's own, in every detail."""


@dataclass(frozen=True)
class NoModel:
    """Stands where a `ModelSource` would: it has a family's crops or cells, and answers nothing.

    Args:
        family: Whose; a name of `tierexp.models.plans.registry`.

    Raises:
        ConfigError: There is no such family.
    """

    family: str = MOLMO

    def __post_init__(self) -> None:
        choice("model.family", self.family, tuple(presets()))

    @property
    def name(self) -> str:
        """How results call it."""
        return "none" if self.family == MOLMO else f"none-{self.family}"

    @property
    def preset(self) -> Preset | None:
        """The family's own rule; None for Molmo, whose every pixel is known."""
        return None if self.family == MOLMO else preset(self.family)

    @property
    def geometry(self) -> CropGeometry:
        """The crops of the released Molmo models."""
        return CropGeometry()
