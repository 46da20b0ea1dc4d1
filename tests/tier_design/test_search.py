"""The search for tiers against every tier of small spaces, measured one by one in exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import brute_force
from tierexp import CropGeometry, Threshold, Tier, select_crops
from tierexp.data.sizes import ImageSizes
from tierexp.imaging.resize import place
from tierexp.tier_design.classes import Objective, divide, losses
from tierexp.tier_design.search import Design, count_tiers, find_frontier
from tierexp.tiers.selection import select_crops_many

GEOMETRY = CropGeometry()
PHOTOS = (
    (480, 640), (480, 640), (480, 640), (640, 480), (512, 512), (100, 100), (336, 560),
    (336, 336), (612, 612), (90, 610), (1200, 7), (300, 1100), (333, 500), (427, 640),
    (1024, 768), (2000, 700), (224, 448), (336, 448), (448, 336), (900, 1600), (800, 312),
)  # fmt: skip
"""Among them squares, on which counts of the same shape tie, and sizes exactly between tilings."""
Sizes = tuple[tuple[int, int], ...]
Select = Callable[[Tier, int, int], tuple[int, int]]
Measured = tuple[int, Fraction, Tier]


def image_sizes(sizes: Sizes) -> ImageSizes:
    heights, widths = np.array(sizes, np.int64).reshape(-1, 2).T.copy()
    return ImageSizes("some", heights, widths, {})


def find(sizes: Sizes, counts: range, objective: Objective, threshold: Threshold) -> list[Design]:
    return find_frontier(divide(image_sizes(sizes), counts, objective, threshold))


def every_tier(counts: range) -> Iterator[Tier]:
    """In the order of precedence among equals."""
    for length in range(1, len(counts) + 1):
        for low in range(counts[0], counts[-1] - length + 2):
            within = range(low, low + length)
            for size in range(1, length + 1):
                chosen = sorted(combinations(within, size), key=lambda c: c[::-1])
                for preferred in chosen:
                    yield Tier("any", low, within[-1], preferred, 1)


def exact_loss(objective: Objective, size: tuple[int, int], tiling: tuple[int, int]) -> Fraction:
    if objective == "mismatch":
        return abs(Fraction(tiling[1], tiling[0]) - brute_force.image_aspect(*size))
    placement = place(size, GEOMETRY.canvas_size(tiling), "fill")
    top, left, bottom, right = placement.visible
    kept = Fraction((bottom - top) * (right - left))
    return 1 - kept / (placement.scaled_size[0] * placement.scaled_size[1])


def measure(tier: Tier, sizes: Sizes, objective: Objective, select: Select) -> Measured:
    tilings = [select(tier, *size) for size in sizes]
    lost = (exact_loss(objective, *pair) for pair in zip(sizes, tilings, strict=True))
    return sum(rows * cols for rows, cols in tilings), sum(lost, Fraction()), tier


def brute_frontier(
    sizes: Sizes, counts: range, objective: Objective, select: Select
) -> list[Measured]:
    everything = [measure(tier, sizes, objective, select) for tier in every_tier(counts)]
    front: list[Measured] = []
    for point in sorted(everything, key=lambda p: p[:2]):  # stable: precedence among equals
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def assert_same(found: list[Design], expected: list[Measured]) -> None:
    assert [d.crops for d in found] == [crops for crops, _, _ in expected]
    for design, (_, loss, tier) in zip(found, expected, strict=True):
        assert design.loss == pytest.approx(float(loss), rel=1e-11, abs=1e-11)
        assert (design.min_crops, design.max_crops) == (tier.min_crops, tier.max_crops)
        assert design.preferred_crops == tier.preferred_crops


@pytest.mark.parametrize("counts", [range(1, 6), range(4, 8)], ids=str)
@pytest.mark.parametrize("limit", [Fraction(3, 10), Fraction(0), None], ids=str)
@pytest.mark.parametrize("objective", ["mismatch", "content_loss"])
def test_the_frontier_is_that_of_every_tier_by_the_definition(
    objective: Objective, limit: Fraction | None, counts: range
) -> None:
    def select(tier: Tier, height: int, width: int) -> tuple[int, int]:
        return brute_force.select(tier, height, width, limit)

    threshold = Threshold(None if limit is None else float(limit))
    expected = brute_frontier(PHOTOS, counts, objective, select)
    assert len(expected) >= 3
    assert_same(find(PHOTOS, counts, objective, threshold), expected)


thresholds = st.sampled_from(
    [Threshold(0.3), Threshold(0.0), Threshold(None), Threshold(0.2, "log_ratio")]
    + [Threshold(value, "content_loss") for value in (0.0, 0.15, None)]
)
some_sizes = st.lists(
    st.sampled_from(PHOTOS) | st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    min_size=1,
    max_size=6,
).map(tuple)


@settings(max_examples=25, deadline=None)
@given(
    some_sizes, st.integers(1, 9), st.integers(1, 4), thresholds,
    st.sampled_from(["mismatch", "content_loss"]),
)  # fmt: skip
def test_the_frontier_is_that_of_every_tier_by_every_metric(
    sizes: Sizes, low: int, length: int, threshold: Threshold, objective: Objective
) -> None:
    def select(tier: Tier, height: int, width: int) -> tuple[int, int]:
        return select_crops(tier, height, width, threshold=threshold).tiling

    counts = range(low, low + length)
    expected = brute_frontier(sizes, counts, objective, select)
    assert_same(find(sizes, counts, objective, threshold), expected)


@cache
def twelve_crops_at_most(objective: Objective, threshold: Threshold) -> list[Design]:
    return find(PHOTOS, range(1, 13), objective, threshold)


@settings(max_examples=25, deadline=None)
@given(st.data(), thresholds, st.sampled_from(["mismatch", "content_loss"]))
def test_no_tier_beats_a_point_of_a_large_space(
    data: st.DataObject, threshold: Threshold, objective: Objective
) -> None:
    """And each point keeps its promise, image by image."""
    sizes = image_sizes(PHOTOS)
    frontier = twelve_crops_at_most(objective, threshold)

    def totals(tier: Tier) -> tuple[int, float]:
        sides = sizes.heights, sizes.widths
        selection = select_crops_many(tier, *sides, threshold=threshold)
        lost = losses(objective, *sides, selection.tilings, GEOMETRY)
        return int(selection.crops.sum()), float(lost.sum())

    low = data.draw(st.integers(1, 12))
    high = data.draw(st.integers(low, 12))
    preferred = data.draw(st.sets(st.integers(low, high), min_size=1))
    crops, loss = totals(Tier("any", low, high, tuple(sorted(preferred)), 1))
    affordable = [point for point in frontier if point.crops <= crops]
    assert affordable[-1].loss <= loss + 1e-9

    point = data.draw(st.sampled_from(frontier))
    tier = Tier("point", point.min_crops, point.max_crops, point.preferred_crops, 1)
    assert totals(tier) == (point.crops, pytest.approx(point.loss, rel=1e-11))


def test_no_order_of_preferred_counts_has_less_mismatch_for_its_crops() -> None:
    """Why preferred counts are listed ascending: by the absolute metric nothing is lost."""
    sizes = PHOTOS[:12]

    def select(tier: Tier, height: int, width: int) -> tuple[int, int]:
        return brute_force.select(tier, height, width, Fraction(3, 10))

    tried = 0
    for tier in every_tier(range(1, 5)):
        crops, loss, _ = measure(tier, sizes, "mismatch", select)
        for order in permutations(tier.preferred_crops):
            other = Tier("other", tier.min_crops, tier.max_crops, order, 1)
            other_crops, other_loss, _ = measure(other, sizes, "mismatch", select)
            assert (other_loss, other_crops >= crops) == (loss, True)
            tried += other_crops > crops
    assert tried  # [4, 1] gives a square four crops


def test_neither_order_nor_repetition_of_sizes_matters() -> None:
    once = find(PHOTOS, range(1, 9), "mismatch", Threshold())
    assert find(PHOTOS[::-1], range(1, 9), "mismatch", Threshold()) == once
    thrice = find(PHOTOS * 3, range(1, 9), "mismatch", Threshold())
    assert [(d.preferred_crops, d.crops) for d in thrice] == [
        (d.preferred_crops, 3 * d.crops) for d in once
    ]


def test_images_of_one_class_are_told_apart_by_no_tier() -> None:
    rng = np.random.default_rng(3)
    heights, widths = rng.integers(1, 3000, (2, 20_000))
    classes = divide(ImageSizes("many", heights, widths, {}), range(1, 9), "mismatch", Threshold())
    assert classes.images.sum() == 20_000
    assert classes.loss.shape == classes.rank.shape == classes.good.shape
    assert len(classes.images) < 500
    # Selected one tier after the other, the same number of images goes each way.
    every = select_crops_many(Tier("all", 1, 8, (1,), 1), heights, widths)
    nearest = classes.rank.argmin(axis=1)  # the first of equals
    chosen = np.where(classes.good[:, 0], 1, nearest + 1)
    assert np.bincount(every.crops, minlength=9).tolist() == [
        int(classes.images[chosen == crops].sum()) for crops in range(9)
    ]


def test_a_worked_example() -> None:
    """Two squares and a photo of 480 x 640: the photo's aspect is 528/368 = 1.4348."""
    sizes = ((512, 512), (600, 600), (480, 640))
    points = find(sizes, range(1, 7), "mismatch", Threshold())
    # One crop each misses the photo by 0.4348; the threshold then looks for better counts, and 2
    # crops (1 x 2) miss by 0.5652, 6 (2 x 3) by 0.0652.
    assert [(d.crops, round(d.loss, 4)) for d in points] == [(3, 0.4348), (8, 0.0652)]
    assert points[0].preferred_crops == (1,)
    assert (points[0].min_crops, points[0].max_crops) == (1, 1)
    assert (points[1].min_crops, points[1].max_crops, points[1].preferred_crops) == (1, 6, (1,))


def test_there_are_so_many_tiers() -> None:
    for counts in range(1, 7):
        assert count_tiers(counts) == sum(1 for _ in every_tier(range(1, counts + 1)))
    assert count_tiers(16) == 261_972


def test_images_that_lose_nothing_have_a_frontier_of_one() -> None:
    (point,) = find(((512, 512), (700, 700)), range(1, 5), "mismatch", Threshold())
    assert (point.preferred_crops, point.crops, point.loss) == ((1,), 2, 0.0)
