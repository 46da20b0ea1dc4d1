"""What a tier, a baseline and a threshold are, and which of them cannot exist.

In: numbers from a YAML file of `conf/tier` or `conf/threshold`. Out: frozen, validated
dataclasses. Choosing a tiling with them is `tierexp.tiers.selection`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tierexp.config.checks import choice, text, whole_number
from tierexp.errors import ConfigError
from tierexp.tiers.geometry import CropGeometry

Metric = Literal["absolute", "log_ratio", "content_loss"]


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
        ConfigError: The range is empty or below 1, or a preferred count is missing from it.
    """

    name: str
    min_crops: int
    max_crops: int
    preferred_crops: tuple[int, ...]
    typical_vision_tokens: int
    description: str = ""

    def __post_init__(self) -> None:
        text("tier.name", self.name)
        whole_number("tier.min_crops", self.min_crops, 1)
        whole_number("tier.max_crops", self.max_crops, 1)
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


@dataclass(frozen=True)
class NativeRule:
    """Molmo's own rule: any tiling up to `max_crops`, chosen by scale (`tiling.select_tiling`).

    Args:
        name: How results and charts call it.
        max_crops: Most crops; 12 in the released checkpoints.
        description: What it is for.
    """

    name: str = "native"
    max_crops: int = 12
    description: str = ""

    def __post_init__(self) -> None:
        text("tier.name", self.name)
        whole_number("tier.max_crops", self.max_crops, 1)

    @property
    def min_crops(self) -> int:
        """Fewest crops a selection may have."""
        return 1


CropPolicy = Tier | NativeRule
"""Everything that turns an image size into a tiling."""


@dataclass(frozen=True)
class Threshold:
    """When the preferred crop counts are good enough to leave the others unconsidered.

    Args:
        value: They are when their best mismatch is below this; None sets no limit, so that the
            others never are considered; 0 always considers them.
        metric: What a selection minimises and `value` is measured in: `absolute` |Δ aspect|,
            `log_ratio` |ln of the aspects' quotient|, or `content_loss`, the share of the image's
            area that filling the canvas crops away.

    Raises:
        ConfigError: A negative value, not a number, or an unknown metric.
    """

    value: float | None = 0.3
    metric: Metric = "absolute"

    def __post_init__(self) -> None:
        choice("threshold.metric", self.metric, get_args(Metric))
        if self.value is None:
            return
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not (math.isfinite(self.value) and self.value >= 0):
            raise ConfigError(
                "threshold.value", self.value, "a finite number >= 0, or null for no limit"
            )


def fixed_tier(vision_tokens: int, geometry: CropGeometry = CropGeometry()) -> Tier:
    """The baseline that gives every image the same crop count: as many whole crops as fit a token
    target beside the global view, and at least one.

    Args:
        vision_tokens: The target, the global view's tokens included.
        geometry: What a crop costs.

    Raises:
        ConfigError: The target is not a whole number above 0.
    """
    whole_number("tier.vision_tokens", vision_tokens, 1)
    crops = geometry.crops_for_tokens(vision_tokens)
    return Tier(
        name=f"fixed_{vision_tokens}",
        min_crops=crops,
        max_crops=crops,
        preferred_crops=(crops,),
        typical_vision_tokens=geometry.selected_vision_tokens(crops),
        description=f"exactly {crops} crops, whatever the aspect ratio",
    )
