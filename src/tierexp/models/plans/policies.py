"""What one image costs in families, under each family's own rule and under tiers: a row for each.

In: a size, presets, tiers. Out: rows of plain numbers, for tables and files. Knows nothing about
how they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tierexp.models.plans.plan import (
    Grid,
    ImagePlan,
    Preset,
    RefusedSizeError,
    Size,
)
from tierexp.models.plans.token_tiers import UnreachableTierError, family_tier
from tierexp.tiers.aspects import mismatches
from tierexp.tiers.tier import Tier

NATIVE = "native"
"""The policy of a family's own processor under its own settings."""


@dataclass(frozen=True)
class TokenRow:
    """What an image costs in a family under a policy.

    Args:
        family: Name of the preset.
        size: Size of the image, (height, width) in pixels.
        policy: Name of the tier, or `NATIVE`.
        plan: What the family's processor makes of it; None where it makes nothing.
        mismatch: |cols / rows - aspect ratio|, margins subtracted where a family has some.
        content_kept: Fraction of the image's area that the language model is shown. A family's own
            rule squashes or pads, and keeps all of it.
        brought_to: The size to which a tier brings the image, (height, width) in pixels.
        settings: Settings of the processor that a tier changes.
        reason: Why there is no plan.
    """

    family: str
    size: Size
    policy: str
    plan: ImagePlan | None = None
    mismatch: float | None = None
    content_kept: float | None = None
    brought_to: Size | None = None
    settings: Mapping[str, object] | None = None
    reason: str | None = None


def token_rows(size: Size, presets: Iterable[Preset], tiers: Iterable[Tier]) -> list[TokenRow]:
    """A row for every family and policy, families together, their own rule first.

    Args:
        size: Size of the image, (height, width) in pixels.
        presets: The families.
        tiers: The tiers.

    Raises:
        ValueError: A side is below 1 pixel or above what any image has.
    """
    wanted = list(tiers)
    return [
        row
        for preset in presets
        for row in (_own(size, preset), *(_in_tier(size, preset, tier) for tier in wanted))
    ]


def _own(size: Size, preset: Preset) -> TokenRow:
    try:
        plan = preset.geometry.plan(*size)
    except RefusedSizeError as error:
        return TokenRow(preset.family, size, NATIVE, reason=str(error))
    return TokenRow(preset.family, size, NATIVE, plan, _mismatch(size, preset, plan.grid), 1.0)


def _mismatch(size: Size, preset: Preset, grid: Grid) -> float:
    height, width = (np.array([side]) for side in size)
    numerators, denominators = preset.geometry.aspects(height, width)
    return float(mismatches(np.array([grid]), numerators, denominators)[0])


def _in_tier(size: Size, preset: Preset, tier: Tier) -> TokenRow:
    try:
        planned = family_tier(preset.geometry, tier).plan_many([size[0]], [size[1]])
    except UnreachableTierError as error:
        return TokenRow(preset.family, size, tier.name, reason=str(error))
    choice = planned.choices[planned.chosen[0]]
    return TokenRow(
        preset.family,
        size,
        tier.name,
        choice.plan,
        float(planned.mismatch[0]),
        float(planned.content_kept[0]),
        choice.size,
        choice.settings,
    )
