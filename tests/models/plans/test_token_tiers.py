"""The grid a tier chooses in a family, against a loop over all grids."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.support.size_draw import draw_sizes
from tierexp.models.plans.plan import FamilyGeometry
from tierexp.models.plans.registry import preset, presets
from tierexp.models.plans.token_tiers import (
    FamilyTier,
    TokenRange,
    UnreachableTierError,
    family_tier,
    token_range,
)
from tierexp.tiers.files import load_tier
from tierexp.tiers.selection import select_crops
from tierexp.tiers.tier import Tier


def tier(name: str) -> Tier:
    loaded = load_tier(name)
    assert isinstance(loaded, Tier)
    return loaded


def compiled(family: str, name: str) -> FamilyTier:
    return family_tier(preset(family).geometry, tier(name))


def test_a_tier_means_the_same_tokens_everywhere() -> None:
    assert token_range(tier("low")) == TokenRange(288, 576, 432)
    assert token_range(tier("medium")) == TokenRange(720, 1296, 1008)
    assert token_range(tier("high")) == TokenRange(1440, 2304, 1872)


@pytest.mark.parametrize("family", sorted(presets()))
@pytest.mark.parametrize("name", ["low", "medium", "high"])
def test_choices_are_within_the_tier(family: str, name: str) -> None:
    tokens = token_range(tier(name))
    try:
        choices = compiled(family, name).choices
    except UnreachableTierError:
        return  # below: who, and what it says
    assert choices
    assert all(tokens.min_tokens <= c.budget <= tokens.max_tokens for c in choices)
    assert len({choice.grid for choice in choices}) == len(choices)


def slowest(geometry: FamilyGeometry, made: FamilyTier, height: int, width: int) -> int:
    """The definition: the first of the choices with the smallest mismatch."""
    numerator, denominator = geometry.aspects(np.array([height]), np.array([width]))
    aspect = Fraction(int(numerator[0]), int(denominator[0]))
    return min(
        range(len(made.choices)),
        key=lambda index: abs(Fraction(*made.choices[index].grid[::-1]) - aspect),
    )


@pytest.mark.parametrize("family", ["internvl", "qwen3_vl", "smolvlm2", "molmo2", "gemma4", "plm"])
def test_the_grid_is_the_one_with_the_smallest_mismatch(family: str) -> None:
    geometry, made = preset(family).geometry, compiled(family, "medium")
    sizes = draw_sizes(60).tolist()
    # On the spot between two grids: 1.25 lies between 1 : 1 and 3 : 2, 1.5 between 1 and 2.
    sizes += [[400, 500], [400, 600], [500, 400], [300, 500]]
    planned = made.plan_many(*np.array(sizes).T)
    for index, (height, width) in enumerate(sizes):
        chosen = planned.chosen[index]
        assert chosen == slowest(geometry, made, height, width), (height, width)


def test_ties_go_to_the_typical_tokens_then_to_fewer() -> None:
    made = compiled("qwen3_vl", "low")
    budgets = [choice.budget for choice in made.choices]
    assert budgets == sorted(budgets, key=lambda budget: (abs(budget - 432), budget))
    # 4 : 3 is 15 x 20, 18 x 24: both miss by nothing, and 432 tokens are the typical ones.
    planned = made.plan_many([480], [640])
    assert made.choices[planned.chosen[0]].grid == (18, 24)
    assert planned.mismatch[0] == 0


def test_molmo_keeps_its_tiers_preferences() -> None:
    for name in ("low", "medium", "high"):
        made = compiled("molmo", name)
        sizes = draw_sizes(60)
        planned = made.plan_many(*sizes.T)
        for size, chosen, mismatch in zip(
            sizes.tolist(), planned.chosen, planned.mismatch, strict=True
        ):
            selection = select_crops(tier(name), *size)
            assert (made.choices[chosen].grid, mismatch) == (selection.tiling, selection.mismatch)


def test_content_kept_is_the_share_that_filling_leaves() -> None:
    planned = compiled("internvl", "medium").plan_many([480], [640])
    # 4 : 3 on a square of 2 x 2 crops: three quarters of it.
    assert planned.choices[planned.chosen[0]].grid == (2, 2)
    assert planned.content_kept[0] == pytest.approx(0.75, abs=0.002)


@pytest.mark.parametrize(
    ("family", "name", "reason"),
    [
        ("internvl", "low", "the nearest are of 256 and 768"),
        ("gemma3", "medium", "the nearest are of 256"),
        ("qwen2_vl", "high", "the nearest are of 1280"),
        ("emu3", "low", "all cost more"),
    ],
)
def test_a_family_says_what_it_cannot_reach(family: str, name: str, reason: str) -> None:
    with pytest.raises(UnreachableTierError, match=reason):
        compiled(family, name)


def test_a_tier_of_ones_own() -> None:
    own = Tier("mine", 2, 4, (3,), 600)
    planned = family_tier(preset("qwen2_5_vl").geometry, own).plan_many([100], [300])
    choice = planned.choices[planned.chosen[0]]
    assert 432 <= choice.plan.vision_tokens <= 720
    assert choice.grid[1] == 3 * choice.grid[0]
