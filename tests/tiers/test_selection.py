"""The compiled selection against the loop that defines it, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support import brute_force
from tests.support.brute_force import HIGH, LOW, MEDIUM, TIERS
from tierexp import Threshold, Tier, select_crops, select_tiling
from tierexp.tiers.native import NativeRule
from tierexp.tiers.selection import select_crops_many
from tierexp.tiers.tier import fixed_tier

DEFAULT, STRICT, NO_LIMIT = Threshold(0.3), Threshold(0.0), Threshold(None)
LIMITS = {DEFAULT: Fraction(3, 10), STRICT: Fraction(0), NO_LIMIT: None}

sides = st.integers(1, 3000)
tiers = st.sampled_from(TIERS)


@st.composite
def any_tier(draw: st.DrawFn) -> Tier:
    low = draw(st.integers(1, 12))
    high = draw(st.integers(low, low + 8))
    counts = st.integers(low, high)
    preferred = draw(st.lists(counts, min_size=1, max_size=5, unique=True))
    return Tier("any", low, high, tuple(preferred), 1008)


@pytest.mark.parametrize(
    ("height", "width", "crops", "tiling", "mismatch"),
    [
        (480, 640, 6, (2, 3), 0.0652),
        (640, 480, 6, (3, 2), 0.0303),
        (512, 512, 4, (2, 2), 0.0),
    ],
)
def test_worked_examples(
    height: int, width: int, crops: int, tiling: tuple[int, int], mismatch: float
) -> None:
    selection = select_crops(MEDIUM, height, width)
    assert (selection.crops, selection.tiling) == (crops, tiling)
    assert selection.mismatch == pytest.approx(mismatch, abs=5e-5)


@given(tiers | any_tier(), sides, sides, st.sampled_from(list(LIMITS)))
def test_one_image_is_chosen_as_defined(
    tier: Tier, height: int, width: int, threshold: Threshold
) -> None:
    expected = brute_force.select(tier, height, width, LIMITS[threshold])
    selection = select_crops(tier, height, width, threshold=threshold)
    assert selection.tiling == expected
    assert selection.crops == expected[0] * expected[1]
    assert tier.min_crops <= selection.crops <= tier.max_crops
    exact = abs(Fraction(expected[1], expected[0]) - brute_force.image_aspect(height, width))
    assert selection.mismatch == float(exact)


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
@pytest.mark.parametrize("threshold", [DEFAULT, STRICT], ids=["default", "strict"])
@pytest.mark.parametrize("height", [1, 111, 112, 113, 224, 336, 480, 512, 647, 1200])
def test_rows_of_sizes_are_chosen_as_defined(tier: Tier, threshold: Threshold, height: int) -> None:
    _check_row(tier, threshold, height)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
@pytest.mark.parametrize("threshold", [DEFAULT, STRICT], ids=["default", "strict"])
def test_every_size_up_to_1200_is_chosen_as_defined(tier: Tier, threshold: Threshold) -> None:
    for height in range(1, 1201):
        expected = _check_row(tier, threshold, height)
        for width, tiling in enumerate(expected.tolist(), start=1):
            one = select_crops(tier, height, width, threshold=threshold)
            assert one.tiling == tuple(tiling)


def _check_row(tier: Tier, threshold: Threshold, height: int) -> NDArray[np.int64]:
    limit = LIMITS[threshold]
    assert limit is not None
    widths = np.arange(1, 1201)
    expected = brute_force.select_row(tier, height, widths, limit)
    many = select_crops_many(tier, height, widths, threshold=threshold)
    np.testing.assert_array_equal(many.tilings, expected)
    np.testing.assert_array_equal(many.crops, expected.prod(axis=-1))
    return expected


@given(tiers, sides, sides)
def test_whole_number_truth_agrees_with_the_rational_one(
    tier: Tier, height: int, width: int
) -> None:
    row = brute_force.select_row(tier, height, np.array([width]), Fraction(3, 10))
    assert tuple(row[0]) == brute_force.select(tier, height, width, Fraction(3, 10))


def test_a_tie_goes_to_the_first() -> None:
    # An aspect of 5/2 is 1/2 from both (1, 2) and (1, 3); 112 is the margin that is subtracted.
    height, width = 112 + 200, 112 + 500
    assert select_crops(Tier("t", 2, 3, (2, 3), 432), height, width).tiling == (1, 2)
    assert select_crops(Tier("t", 2, 3, (3, 2), 432), height, width).tiling == (1, 3)


def test_a_mismatch_equal_to_the_threshold_is_not_below_it() -> None:
    tier = Tier("t", 4, 5, (4,), 720)
    height, width = 112 + 10, 112 + 43  # 4.3 is exactly 0.3 from (1, 4) and 0.7 from (1, 5)
    assert select_crops(tier, height, width).tiling == (1, 4)
    height, width = 112 + 10, 112 + 46  # 0.6 from (1, 4), 0.4 from (1, 5)
    assert select_crops(tier, height, width).tiling == (1, 5)
    touching = Tier("t", 2, 5, (2,), 432)  # 2.3 is 0.3 from (1, 2); nothing else is closer
    assert select_crops(touching, 112 + 10, 112 + 23).tiling == (1, 2)
    square = Tier("t", 1, 6, (6,), 1008)  # 1.2 is exactly 0.3 from (2, 3), and 0.2 from (1, 1)
    assert select_crops(square, 112 + 10, 112 + 12).tiling == (1, 1)
    assert select_crops(square, 112 + 1000, 112 + 1201).tiling == (2, 3)


@given(tiers | any_tier(), sides, sides, st.sampled_from(["log_ratio", "content_loss"]))
def test_other_metrics_minimise_what_they_name(
    tier: Tier, height: int, width: int, metric: str
) -> None:
    selection = select_crops(tier, height, width, threshold=Threshold(0.3, metric))  # type: ignore[arg-type]
    expected = brute_force.select_by(metric, tier, height, width, 0.3)

    def value(tiling: tuple[int, int]) -> float:
        rows, cols = tiling
        if metric == "log_ratio":
            return abs(np.log(cols / rows / float(brute_force.image_aspect(height, width))))
        canvas = (224 * cols + 112) / (224 * rows + 112)
        return 1 - min(width / height / canvas, canvas * height / width)

    # Floats cannot tell a tie, and only in one may the choices differ.
    assert selection.tiling == expected or value(selection.tiling) == pytest.approx(value(expected))
    a = float(brute_force.image_aspect(height, width))
    assert selection.mismatch == pytest.approx(abs(selection.tiling[1] / selection.tiling[0] - a))


@given(tiers, sides, sides)
def test_log_ratio_is_symmetric_in_wide_and_tall(tier: Tier, height: int, width: int) -> None:
    wide = select_crops(tier, height, width, threshold=Threshold(0.3, "log_ratio"))
    tall = select_crops(tier, width, height, threshold=Threshold(0.3, "log_ratio"))
    # A tie goes to the first in both; turned round, that may be another crop count.
    if wide.tiling != tall.tiling[::-1]:
        a = brute_force.image_aspect(height, width)
        ratios = [max(t / a, a / t) for t in (Fraction(*wide.tiling[::-1]), Fraction(*tall.tiling))]
        assert ratios[0] == ratios[1]


@given(
    tiers | st.just(NativeRule()) | st.just(fixed_tier(720)),
    st.lists(st.tuples(sides, sides), min_size=1, max_size=30),
    st.sampled_from([*LIMITS, Threshold(0.2, "log_ratio"), Threshold(0.1, "content_loss")]),
)
def test_many_images_are_chosen_like_one(
    tier: Tier, sizes: list[tuple[int, int]], threshold: Threshold
) -> None:
    heights, widths = np.array(sizes).T
    many = select_crops_many(tier, heights, widths, threshold=threshold)
    for i, (height, width) in enumerate(sizes):
        one = select_crops(tier, height, width, threshold=threshold)
        assert one.tiling == tuple(many.tilings[i])
        assert one.crops == many.crops[i]
        assert one.mismatch == many.mismatch[i]


@given(sides, sides, st.sampled_from([1, 3, 6, 12, 24]))
def test_native_rule_is_the_published_one(height: int, width: int, max_crops: int) -> None:
    assert select_tiling(height, width, max_crops) == brute_force.select_native(
        height, width, max_crops
    )


@pytest.mark.parametrize(("height", "width"), [(112, 112), (112, 500), (500, 112), (1, 1), (50, 9)])
def test_native_rule_on_sides_that_the_margins_use_up(height: int, width: int) -> None:
    assert select_tiling(height, width, 12) == brute_force.select_native(height, width, 12)


@pytest.mark.slow
def test_native_rule_for_every_size_up_to_1200() -> None:
    widths = np.arange(1, 1201)
    tilings = [(r, c) for n in range(1, 13) for r, c in brute_force.tilings_of(n)]
    with np.errstate(divide="ignore"):
        for height in range(1, 1201):
            h, w = np.float32(height - 112), (widths - 112).astype(np.float32)
            scales = np.stack(
                [np.minimum(np.float32(224 * r) / h, np.float32(224 * c) / w) for r, c in tilings]
            )
            up = np.where(scales < 1, np.inf, scales).argmin(axis=0)
            chosen = np.where((scales < 1).all(axis=0), scales.argmax(axis=0), up)
            many = select_crops_many(NativeRule(), height, widths)
            np.testing.assert_array_equal(many.tilings, np.array(tilings)[chosen])


@pytest.mark.parametrize("tier", [LOW, HIGH, NativeRule()], ids=lambda tier: tier.name)
def test_sizes_that_are_none_are_refused(tier: Tier) -> None:
    with pytest.raises(ValueError, match="cannot be tiled"):
        select_crops(tier, 0, 10)
    with pytest.raises(ValueError, match="at least 1"):
        select_crops_many(tier, [10, 0], [10, 10])
    with pytest.raises(TypeError, match="whole pixels"):
        select_crops_many(tier, [10.5], [10])
    with pytest.raises(TypeError):
        select_crops(tier, 10.5, 10)  # type: ignore[arg-type]


def test_no_tiling_has_less_than_one_crop() -> None:
    with pytest.raises(ValueError, match="at most 0"):
        select_tiling(100, 100, 0)


def test_a_threshold_no_mismatch_reaches_is_no_limit() -> None:
    unlimited = Threshold(None, "log_ratio")
    for width in (100, 640, 5000):
        far = select_crops(MEDIUM, 480, width, threshold=Threshold(1000.0, "log_ratio"))
        assert far == select_crops(MEDIUM, 480, width, threshold=unlimited)
