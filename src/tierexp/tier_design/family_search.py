"""Every tier of a range of crop counts in a family other than Molmo, and those that no other beats.

In: the sizes of images, crop counts, a family's geometry. Out: the Pareto frontier of (tokens,
loss), ascending in tokens. In a family a tier is a range of tokens, those of its crop counts in
Molmo, and a typical number that ties go to (`tierexp.models.plans.token_tiers`). Every range within
the counts is looked at, and in each every count as the typical one: 816 tiers for counts 1 to 16.
A range in which the family makes no grid is no tier of it.

The grid's aspect ratio depends on the range alone; the typical number says which of the grids of
one aspect ratio it is. So images are located once a range, in rational numbers as a run does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from tierexp.data.sizes import ImageSizes
from tierexp.models.plans.plan import FamilyGeometry, Sides
from tierexp.models.plans.token_tiers import (
    TierChoice,
    TokenRange,
    UnreachableTierError,
    choices_within,
    content_kept,
)
from tierexp.tier_design.classes import Objective, distinct_sizes
from tierexp.tiers.aspects import mismatches
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.table import Breakpoints

_EQUAL = 1e-11
"""Fraction of the largest loss below which two losses are the same: rounding of the images' own."""


@dataclass(frozen=True)
class FamilyDesign:
    """A tier in a family and what it does to all images.

    Args:
        min_crops: Crops with whose tokens in Molmo the range begins.
        max_crops: Crops with whose tokens it ends.
        typical_crops: Whose tokens ties go to.
        tokens: Selected for all images together.
        loss: The objective, summed over all images.
    """

    min_crops: int
    max_crops: int
    typical_crops: int
    tokens: int
    loss: float

    @property
    def precedence(self) -> tuple[int, ...]:
        """Which of equals goes first: the narrowest range, the lowest, the smallest number."""
        return self.max_crops - self.min_crops, self.min_crops, self.typical_crops


@dataclass(frozen=True)
class _Images:
    """Images of K sizes.

    Args:
        heights: (K,) pixels.
        widths: (K,) pixels.
        repeats: (K,): how many images have the size.
        aspects: (K,) numerators and (K,) denominators, as the family compares them.
    """

    heights: Sides
    widths: Sides
    repeats: NDArray[np.int64]
    aspects: tuple[Sides, Sides]


class _Range:
    """The grids of a range of tokens, and where the images are between them.

    Args:
        choices: The grids, at least one.
        images: All of them.
    """

    def __init__(self, choices: list[TierChoice], images: _Images) -> None:
        self._choices = choices
        self._images = images
        self._grids = np.array([choice.grid for choice in choices], np.int64)
        self._budgets = np.array([choice.budget for choice in choices], np.int64)
        ratios = [Fraction(choice.grid[1], choice.grid[0]) for choice in choices]
        ascending = sorted(set(ratios))
        place = {ratio: index for index, ratio in enumerate(ascending)}
        self._ratio = np.array([place[ratio] for ratio in ratios])
        points = [(low + high) / 2 for low, high in pairwise(ascending)]
        self._classes = Breakpoints(points, power=1).locate_many(*images.aspects)

    def chosen(self, typical_tokens: int) -> NDArray[np.int64]:
        """(K,): the grid of each size where ties go to so many tokens."""
        away = np.abs(self._budgets - typical_tokens)
        order = np.lexsort((self._grids[:, 0], self._budgets, away))
        _, first = np.unique(self._ratio[order], return_index=True)
        winners = np.empty(2 * len(first) - 1, np.int64)  # places in the order
        winners[0::2] = first
        winners[1::2] = np.minimum(first[:-1], first[1:])
        grids: NDArray[np.int64] = order[winners[self._classes]]
        return grids

    def tokens(self, chosen: NDArray[np.int64]) -> int:
        """Tokens of all images together."""
        return int(self._images.repeats @ self._budgets[chosen])

    def loss(self, objective: Objective, chosen: NDArray[np.int64]) -> float:
        """Loss of all images together."""
        images = self._images
        if objective == "mismatch":
            lost = mismatches(self._grids[chosen], *images.aspects)
        else:
            lost = 1 - content_kept(self._choices, chosen, images.heights, images.widths)
        return float(images.repeats @ lost)


def find_family_frontier(
    sizes: ImageSizes, counts: range, objective: Objective, geometry: FamilyGeometry
) -> tuple[list[FamilyDesign], int]:
    """The tiers that no tier beats: each has the least loss of all that select no more tokens.

    Args:
        sizes: Sizes of the images, at least one; their order is of no account.
        counts: Consecutive crop counts.
        objective: What is to become small.
        geometry: The family's, under its settings.

    Returns:
        From each tier to the next, tokens grow and the loss falls; and how many tiers there are.

    Raises:
        UnreachableTierError: The family makes no grid within the counts.
    """
    heights, widths, repeats = distinct_sizes(sizes)
    images = _Images(heights, widths, repeats, geometry.aspects(heights, widths))
    designs = [
        design
        for low, high, choices in _ranges(counts, geometry)
        for design in _measured(range(low, high + 1), objective, _Range(choices, images))
    ]
    return _front(designs), len(designs)


def _tokens(crops: int) -> int:
    return CropGeometry().selected_vision_tokens(crops)


def _ranges(counts: range, geometry: FamilyGeometry) -> Iterator[tuple[int, int, list[TierChoice]]]:
    """Every range of crop counts in which the family makes grids, and the grids."""
    choices_within(geometry, TokenRange(_tokens(counts[0]), _tokens(counts[-1]), 1))
    for high in counts:
        # One set of settings: a narrower range has the grids of a wider one that are in it.
        alone = len(geometry.variants(_tokens(high))) == 1
        wide = _grids(geometry, counts[0], high) if alone else []
        for low in range(counts[0], high + 1):
            if alone:
                choices = [choice for choice in wide if choice.budget >= _tokens(low)]
            else:
                choices = _grids(geometry, low, high)
            if choices:
                yield low, high, choices


def _grids(geometry: FamilyGeometry, low: int, high: int) -> list[TierChoice]:
    try:
        return choices_within(geometry, TokenRange(_tokens(low), _tokens(high), 1))
    except UnreachableTierError:
        return []


def _measured(counts: range, objective: Objective, space: _Range) -> Iterator[FamilyDesign]:
    """The tiers of one range of counts."""
    known: dict[bytes, float] = {}
    for typical in counts:
        chosen = space.chosen(_tokens(typical))
        # Grids of one aspect ratio have one mismatch.
        key = b"" if objective == "mismatch" else chosen.tobytes()
        if key not in known:
            known[key] = space.loss(objective, chosen)
        tokens = space.tokens(chosen)
        yield FamilyDesign(counts[0], counts[-1], typical, tokens, known[key])


def _front(designs: list[FamilyDesign]) -> list[FamilyDesign]:
    """Those that no other one matches, ascending in tokens."""
    equal = _EQUAL * max(design.loss for design in designs)
    front: list[FamilyDesign] = []
    designs = sorted(designs, key=lambda design: design.tokens)
    for _, group in groupby(designs, key=lambda design: design.tokens):
        alike = list(group)
        least = min(design.loss for design in alike)
        if not front or least < front[-1].loss - equal:
            best = (design for design in alike if design.loss <= least + equal)
            front.append(min(best, key=lambda design: design.precedence))
    return front
