"""Tiers of other families: the frontier is that of every tier, one by one, image by image."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from tierexp.data.sizes import ImageSizes
from tierexp.models.plans.registry import preset
from tierexp.models.plans.token_tiers import FamilyTier, UnreachableTierError
from tierexp.tier_design.classes import Objective
from tierexp.tier_design.family_search import find_family_frontier
from tierexp.tiers.tier import Tier

SIZES = [(480, 640), (640, 480), (512, 512), (100, 900), (3000, 700), (333, 1001), (480, 640)]


def sizes(pairs: list[tuple[int, int]]) -> ImageSizes:
    heights, widths = np.array(pairs, np.int64).T
    return ImageSizes("some", heights, widths, {})


def measured(
    family: str, counts: range, objective: Objective
) -> list[tuple[int, float, tuple[int, int, int]]]:
    """(tokens, loss, (low, high, typical)) of every tier, by the code that evaluations run."""
    heights, widths = np.array(SIZES).T
    every = []
    for low, high in combinations_with_replacement(counts, 2):
        for typical in range(low, high + 1):
            tier = Tier("any", low, high, (typical,), 144 * (typical + 1))
            try:
                plans = FamilyTier(preset(family).geometry, tier).plan_many(heights, widths)
            except UnreachableTierError:
                continue
            lost = plans.mismatch if objective == "mismatch" else 1 - plans.content_kept
            tokens = sum(plans.choices[index].budget for index in plans.chosen.tolist())
            every.append((tokens, float(lost.sum()), (low, high, typical)))
    return every


@pytest.mark.parametrize("objective", ["mismatch", "content_loss"])
@pytest.mark.parametrize(
    ("family", "counts"),
    # One with cells; with crops; with settings that a tier changes; with few numbers of tokens.
    [("pixtral", range(1, 4)), ("smolvlm2", range(1, 8)), ("lfm2_vl", range(1, 8)),
     ("gemma3_pan_and_scan", range(3, 9))],
)  # fmt: skip
def test_no_tier_beats_the_frontier(family: str, counts: range, objective: Objective) -> None:
    every = measured(family, counts, objective)
    geometry = preset(family).geometry
    found, tiers = find_family_frontier(sizes(SIZES), counts, objective, geometry)
    assert tiers == len(every)
    by_range = {where: (tokens, loss) for tokens, loss, where in every}
    for design in found:
        tokens, loss = by_range[design.min_crops, design.max_crops, design.typical_crops]
        assert design.tokens == tokens
        assert design.loss == pytest.approx(loss, rel=1e-12, abs=1e-12)
        assert not any(t <= tokens and lo < loss - 1e-9 for t, lo, _ in every)
        # Of those that are as good, the narrowest range, then the lowest, then the smallest number.
        alike = [w for t, lo, w in every if t == tokens and lo == pytest.approx(loss, abs=1e-9)]
        best = min(alike, key=lambda where: (where[1] - where[0], where[0], where[2]))
        assert best == (design.min_crops, design.max_crops, design.typical_crops)
    # None is missing: every tier is matched by one that costs no more.
    for tokens, loss, _ in every:
        assert any(d.tokens <= tokens and d.loss <= loss + 1e-9 for d in found)
    assert [d.tokens for d in found] == sorted({d.tokens for d in found})


def test_order_and_repetition_are_of_no_account() -> None:
    geometry = preset("smolvlm2").geometry
    once, _ = find_family_frontier(sizes(SIZES), range(1, 6), "mismatch", geometry)
    thrice, _ = find_family_frontier(sizes(3 * SIZES[::-1]), range(1, 6), "mismatch", geometry)
    assert [3 * design.tokens for design in once] == [design.tokens for design in thrice]
    assert [d.precedence for d in once] == [d.precedence for d in thrice]


def test_a_family_without_a_grid_within_the_counts_says_so() -> None:
    geometry = preset("llava_ov").geometry
    with pytest.raises(UnreachableTierError, match=r"no grid of 288 to 720 tokens: .* 1485"):
        find_family_frontier(sizes(SIZES), range(1, 5), "mismatch", geometry)
