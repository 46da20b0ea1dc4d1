"""What a tier is, and which of them cannot exist.

In: numbers from a YAML file of `conf/tier`. Out: a frozen, validated dataclass that gives an image
the tiling of its definition, by way of a compiled table (`tierexp.tiers.table`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import text, whole_number
from tierexp.errors import ConfigError
from tierexp.tiers.aspects import inner_aspect, inner_aspects
from tierexp.tiers.geometry import MAX_CROPS, CropGeometry, Tiling
from tierexp.tiers.table import compiled
from tierexp.tiers.threshold import Threshold


@dataclass(frozen=True)
class Tier:
    """A range of crop counts, some of them preferred.

    Args:
        name: How results and charts call it.
        min_crops: Fewest crops a selection may have.
        max_crops: Most crops a selection may have.
        preferred_crops: Counts considered first, in this order.
        typical_vision_tokens: The token budget to expect, for people to read.
        description: What the tier is for.

    Raises:
        ConfigError: The range is empty, below 1 or above `MAX_CROPS`, or a preferred count is
            missing from it.
    """

    name: str
    min_crops: int
    max_crops: int
    preferred_crops: tuple[int, ...]
    typical_vision_tokens: int
    description: str = ""

    def __post_init__(self) -> None:
        text("tier.name", self.name)
        whole_number("tier.min_crops", self.min_crops, 1, MAX_CROPS)
        whole_number("tier.max_crops", self.max_crops, 1, MAX_CROPS)
        whole_number("tier.typical_vision_tokens", self.typical_vision_tokens, 1)
        if self.min_crops > self.max_crops:
            raise ConfigError(
                "tier.min_crops", self.min_crops, f"at most tier.max_crops ({self.max_crops})"
            )
        given: object = self.preferred_crops  # a YAML file holds whatever was written
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ConfigError("tier.preferred_crops", given, "a list of crop counts, such as [4,6]")
        preferred = tuple(given)
        within = f"crop counts from {self.min_crops} to {self.max_crops} (min_crops to max_crops)"
        if not preferred:
            raise ConfigError("tier.preferred_crops", [], f"at least one of the {within}")
        for crops in preferred:
            whole_number("tier.preferred_crops", crops, 1)
            if not self.min_crops <= crops <= self.max_crops:
                raise ConfigError("tier.preferred_crops", crops, f"only {within}")
        if len(set(preferred)) != len(preferred):
            raise ConfigError("tier.preferred_crops", list(preferred), "each crop count once")
        object.__setattr__(self, "preferred_crops", preferred)

    @property
    def other_crops(self) -> tuple[int, ...]:
        """The crop counts that are not preferred, ascending."""
        counts = range(self.min_crops, self.max_crops + 1)
        return tuple(crops for crops in counts if crops not in self.preferred_crops)

    @property
    def as_tier(self) -> Tier:
        """See `FamilyRule`."""
        return self

    def expected_tokens(self, geometry: CropGeometry) -> int:  # noqa: ARG002
        """The typical token budget."""
        return self.typical_vision_tokens

    def tiling(
        self, height: int, width: int, geometry: CropGeometry, threshold: Threshold
    ) -> Tiling:
        """See `CropRule`."""
        table = compiled(self, geometry, threshold)
        if table.of_canvas:
            return table.lookup(width, height)
        return table.lookup(*inner_aspect(height, width, geometry))

    def tilings(
        self,
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
        geometry: CropGeometry,
        threshold: Threshold,
    ) -> NDArray[np.int64]:
        """See `CropRule`."""
        table = compiled(self, geometry, threshold)
        if table.of_canvas:
            return table.lookup_many(widths, heights)
        return table.lookup_many(*inner_aspects(heights, widths, geometry))


def fixed_tier(vision_tokens: int, geometry: CropGeometry = CropGeometry()) -> Tier:
    """The baseline that gives every image the same crop count: as many whole crops as fit a token
    target beside the global view, and at least one.

    Args:
        vision_tokens: The target, the global view's tokens included.
        geometry: What a crop costs.

    Raises:
        ConfigError: The target is not a whole number above 0, or pays for more than `MAX_CROPS`.
    """
    most = geometry.selected_vision_tokens(MAX_CROPS)
    whole_number("tier.vision_tokens", vision_tokens, 1, most)
    crops = geometry.crops_for_tokens(vision_tokens)
    return Tier(
        name=f"fixed_{vision_tokens}",
        min_crops=crops,
        max_crops=crops,
        preferred_crops=(crops,),
        typical_vision_tokens=geometry.selected_vision_tokens(crops),
        description=f"exactly {crops} crops, whatever the aspect ratio",
    )
