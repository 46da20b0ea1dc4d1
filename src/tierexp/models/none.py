"""No model, for runs that ask only what a tier does to images (`model=none`)."""

from __future__ import annotations

from dataclasses import dataclass

from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing
from tierexp.models.plans.registry import preset
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

MOLMO = "molmo"
"""The family whose tilings and resizing are this project's own, in every detail."""


@dataclass(frozen=True)
class NoModel:
    """Stands where a `ModelSource` would: it has a family's crops or cells, and answers nothing.

    Args:
        family: Whose; a name of `tierexp tokens`, or the path of a `Family` of one's own.

    Raises:
        ConfigError: There is no such family.
    """

    family: str = MOLMO

    def __post_init__(self) -> None:
        preset(self.family, "model.family")

    @property
    def name(self) -> str:
        """How results call it."""
        return "none" if self.family == MOLMO else f"none-{preset(self.family).family}"

    @property
    def preset(self) -> Preset | None:
        """The family's own rule; None for Molmo, whose every pixel is known."""
        return None if self.family == MOLMO else preset(self.family)

    @property
    def geometry(self) -> CropGeometry:
        """The crops of the released Molmo models."""
        return CropGeometry()

    def preprocessing(self, tier: CropRule, threshold: Threshold, resize: Resize) -> Preprocessing:
        """See `ModelSource`."""
        if self.preset is None:
            return Preprocessing(tier, threshold, resize, self.geometry)
        return FamilyPreprocessing.of(self.preset, tier, threshold, resize)
