"""Tiers and thresholds that cannot exist are refused: key, value, and what is allowed."""

from __future__ import annotations

import math

import pytest

from tierexp import Threshold, Tier
from tierexp.errors import ConfigError
from tierexp.tiers.native import NativeRule
from tierexp.tiers.tier import fixed_tier


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"min_crops": 9}, ["tier.min_crops=9", "8"]),
        ({"min_crops": 0}, ["tier.min_crops=0", "from 1 to 100"]),
        ({"min_crops": 2.5}, ["tier.min_crops=2.5", "whole number"]),
        ({"preferred_crops": (4, 9)}, ["tier.preferred_crops=9", "4 to 8"]),
        ({"preferred_crops": ()}, ["tier.preferred_crops=[]", "at least one"]),
        ({"preferred_crops": (4, 4)}, ["tier.preferred_crops", "once"]),
        ({"preferred_crops": 4}, ["tier.preferred_crops=4", "list"]),
        ({"preferred_crops": "46"}, ["tier.preferred_crops='46'", "list"]),
        ({"typical_vision_tokens": 0}, ["tier.typical_vision_tokens=0"]),
    ],
)
def test_impossible_tiers_are_refused(fields: dict[str, object], words: list[str]) -> None:
    possible = {"min_crops": 4, "max_crops": 8, "preferred_crops": (4, 6, 8)}
    with pytest.raises(ConfigError) as error:
        Tier(**{"name": "t", "typical_vision_tokens": 1008, **possible, **fields})  # type: ignore[arg-type]
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_other_crops_are_the_rest_ascending() -> None:
    assert Tier("t", 4, 8, (8, 4, 6), 1008).other_crops == (5, 7)


@pytest.mark.parametrize(
    ("target", "crops"), [(432, 2), (720, 4), (1008, 6), (1440, 9), (100, 1), (1151, 6), (1152, 7)]
)
def test_fixed_tiers_have_one_count(target: int, crops: int) -> None:
    tier = fixed_tier(target)
    assert (tier.min_crops, tier.max_crops, tier.preferred_crops) == (crops, crops, (crops,))
    assert tier.typical_vision_tokens == (crops + 1) * 144


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.3", True])
def test_impossible_thresholds_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"threshold\.value"):
        Threshold(value)  # type: ignore[arg-type]


def test_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="absolute, log_ratio, content_loss"):
        Threshold(0.3, "euclid")  # type: ignore[arg-type]


def test_native_rule_needs_a_crop() -> None:
    with pytest.raises(ConfigError, match=r"tier\.max_crops"):
        NativeRule(max_crops=0)
