"""Tiers in every family: a range of tokens, and the grid within it that fits an image best.

In: a family's geometry, a tier, the sizes of images. Out: the grid of each image, the size to which
the image is to be brought so that the family's own processor makes exactly this grid, and what that
costs. A tier's range is that of its crops in Molmo's tokens, and means the same tokens everywhere.

The grids of a family are those that its processor keeps: an image of a grid's size, planned by the
family's own rule, has to come out as this grid, with as many tokens as the tier allows. Of those
the one with the smallest mismatch |cols / rows - aspect| wins; of equal ones the one whose tokens
are nearest to the tier's typical number, then the one of fewer tokens, then of fewer rows.
Mismatches are compared exactly. Where a crop costs what the tier was defined for, its preferred
counts apply, by the tier's own rule (`tierexp.tiers.selection`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierexp.errors import TierexpError
from tierexp.imaging.placements import place_many
from tierexp.models.plans.overlapping import OverlappingCrops
from tierexp.models.plans.plan import FamilyGeometry, Grid, ImagePlan, Sides, Size, image_sides
from tierexp.tiers.aspects import mismatches
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import select_crops_many
from tierexp.tiers.table import Breakpoints
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier

_REFERENCE = CropGeometry()
"""The crops that tiers are counted in: Molmo's."""


class UnreachableTierError(TierexpError):
    """A family that makes no grid within a tier."""


@dataclass(frozen=True)
class TokenRange:
    """What a tier is to a family.

    Args:
        min_tokens: Fewest tokens of an image.
        max_tokens: Most tokens.
        typical_tokens: The number that ties go to.
    """

    min_tokens: int
    max_tokens: int
    typical_tokens: int


def token_range(tier: Tier) -> TokenRange:
    """The tokens of a tier's crops in Molmo, the global view's included."""
    return TokenRange(
        _REFERENCE.selected_vision_tokens(tier.min_crops),
        _REFERENCE.selected_vision_tokens(tier.max_crops),
        tier.typical_vision_tokens,
    )


@dataclass(frozen=True)
class TierChoice:
    """A grid that a tier offers in a family.

    Args:
        plan: What the family's processor makes of an image of `size`.
        size: The size to which an image is brought, (height, width) in pixels.
        budget: What the tier counts of the plan.
        settings: Settings of the processor that differ from the preset's.
    """

    plan: ImagePlan
    size: Size
    budget: int
    settings: Mapping[str, object]

    @property
    def grid(self) -> Grid:
        """Rows and columns."""
        return self.plan.grid


@dataclass(frozen=True)
class TierPlans:
    """What a tier makes of N images in a family.

    Args:
        choices: The grids that occur.
        chosen: (N,) int64: which of them each image gets.
        mismatch: (N,) float64: |cols / rows - aspect ratio|.
        content_kept: (N,) float64: share of the image's area that filling `size` leaves.
    """

    choices: tuple[TierChoice, ...]
    chosen: NDArray[np.int64]
    mismatch: NDArray[np.float64]
    content_kept: NDArray[np.float64]


class FamilyTier:
    """A tier in a family, compiled: sorted breakpoints, as a tier's table has them.

    Args:
        geometry: The family's, under its settings.
        tier: The tier.

    Raises:
        UnreachableTierError: The family makes no grid within the tier.
    """

    def __init__(self, geometry: FamilyGeometry, tier: Tier) -> None:
        self._geometry = geometry
        self._tier = tier
        tokens = token_range(tier)
        choices = choices_within(geometry, tokens)
        self.choices = tuple(
            sorted(
                choices,
                key=lambda choice: (
                    abs(choice.budget - tokens.typical_tokens),
                    choice.budget,
                    choice.grid[0],
                ),
            )
        )
        first: dict[Fraction, int] = {}
        for index, choice in enumerate(self.choices):
            first.setdefault(Fraction(choice.grid[1], choice.grid[0]), index)
        ratios = sorted(first)
        points = [(low + high) / 2 for low, high in pairwise(ratios)]
        self._breakpoints = Breakpoints(points, power=1)
        nearest = [first[ratio] for ratio in ratios]
        winners = np.empty(2 * len(nearest) - 1, np.int64)  # by class: between points, and on them
        winners[0::2] = nearest
        winners[1::2] = np.minimum(nearest[:-1], nearest[1:])
        self._winners = winners

    @cached_property
    def by_grid(self) -> dict[Grid, TierChoice]:
        """The choices by their grids, of which no two are the same."""
        return {choice.grid: choice for choice in self.choices}

    @cached_property
    def grids(self) -> NDArray[np.int64]:
        """(C, 2): rows and columns of the choices."""
        return np.array([choice.grid for choice in self.choices], np.int64)

    def plan_many(self, heights: ArrayLike, widths: ArrayLike) -> TierPlans:
        """What the tier makes of many images.

        Args:
            heights: Whole pixels; broadcast against `widths`.
            widths: Whole pixels.

        Raises:
            TypeError: Sides that are not whole numbers.
            ValueError: A side is below 1 pixel, or above `MAX_SIDE`.
        """
        height, width = image_sides(heights, widths)
        numerators, denominators = self._geometry.aspects(height, width)
        chosen = self._chosen(height, width, numerators, denominators)
        return TierPlans(
            self.choices,
            chosen,
            mismatches(self.grids[chosen], numerators, denominators),
            content_kept(self.choices, chosen, height, width),
        )

    def _chosen(
        self, heights: Sides, widths: Sides, numerators: Sides, denominators: Sides
    ) -> NDArray[np.int64]:
        geometry = self._geometry
        if isinstance(geometry, OverlappingCrops) and geometry.crops == _REFERENCE:
            own = select_crops_many(self._tier, heights, widths, geometry.crops, Threshold())
            index = np.zeros((self._tier.max_crops + 1,) * 2, np.int64)
            for place, choice in enumerate(self.choices):
                index[choice.grid] = place
            return index[own.tilings[:, 0], own.tilings[:, 1]]
        chosen: NDArray[np.int64] = self._winners[
            self._breakpoints.locate_many(numerators, denominators)
        ]
        return chosen


def content_kept(
    choices: Sequence[TierChoice], chosen: NDArray[np.int64], heights: Sides, widths: Sides
) -> NDArray[np.float64]:
    """(N,): the fraction of an image's area that filling its grid's size leaves.

    Args:
        choices: The grids.
        chosen: (N,): which of them each image gets.
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
    """
    kept = np.empty(len(chosen))
    order = np.argsort(chosen, kind="stable")
    _, starts = np.unique(chosen[order], return_index=True)
    for members in np.split(order, starts[1:]) if len(order) else []:
        size = choices[chosen[members[0]]].size
        kept[members] = place_many(heights[members], widths[members], size, "fill").content_kept
    return kept


def choices_within(geometry: FamilyGeometry, tokens: TokenRange) -> list[TierChoice]:
    """Every grid that the family keeps within the tier.

    Raises:
        UnreachableTierError: There is none.
    """
    found: dict[Grid, TierChoice] = {}
    budgets_seen: set[int] = set()
    for variant in geometry.variants(tokens.max_tokens):
        rule = variant.geometry
        grids = list(rule.candidate_grids(tokens.max_tokens))
        if not grids:
            continue
        sizes = rule.sizes_for(grids)
        plans = rule.plan_many([height for height, _ in sizes], [width for _, width in sizes])
        budgets = rule.budgets(plans)
        kept = (plans.grids == np.array(grids)).all(axis=1) & ~plans.refused
        budgets_seen.update(budgets[kept].tolist())
        within = kept & (budgets >= tokens.min_tokens) & (budgets <= tokens.max_tokens)
        for index in np.flatnonzero(within).tolist():
            choice = TierChoice(plans[index], sizes[index], int(budgets[index]), variant.settings)
            found.setdefault(grids[index], choice)
    if not found:
        raise UnreachableTierError(_why(tokens, budgets_seen))
    return list(found.values())


def _why(tokens: TokenRange, budgets: set[int]) -> str:
    below = [budget for budget in budgets if budget < tokens.min_tokens]
    above = [budget for budget in budgets if budget > tokens.max_tokens]
    nearest = [str(number) for number in (max(below, default=0), min(above, default=0)) if number]
    gives = f"the nearest are of {' and '.join(nearest)}" if nearest else "all cost more"
    return f"no grid of {tokens.min_tokens} to {tokens.max_tokens} tokens: {gives}"


@lru_cache(maxsize=256)
def family_tier(geometry: FamilyGeometry, tier: Tier) -> FamilyTier:
    """The tier in a family, compiled once.

    Raises:
        UnreachableTierError: The family makes no grid within the tier.
    """
    return FamilyTier(geometry, tier)
