"""Columns of placements and token counts are those of one image after the other, and those counted
pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tierexp import CropGeometry
from tierexp.imaging.crops import count_actual_tokens
from tierexp.imaging.placements import Placements, count_actual_tokens_many, place_many
from tierexp.imaging.resize import Placement, ResizeMode, place
from tierexp.tiers.geometry import Tiling

MODES: tuple[ResizeMode, ...] = ("fill", "letterbox", "stretch")
GEOMETRIES = (
    CropGeometry(),
    CropGeometry(crop_size=70, patch_size=7, overlap_margins=(1, 3), pooling=(3, 2)),
)
LONGEST = 2**31 - 1

sides = st.integers(1, 3000) | st.integers(1, LONGEST)
many_sizes = st.lists(st.tuples(sides, sides), min_size=1, max_size=30)
tilings = st.tuples(st.integers(1, 15), st.integers(1, 15))


def columns(sizes: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    heights, widths = np.array(sizes).T
    return heights, widths


def rows_of(placements: Placements) -> list[tuple[int, ...]]:
    parts = (
        placements.scaled_heights, placements.scaled_widths,
        placements.top, placements.left, placements.bottom, placements.right,
    )  # fmt: skip
    return [tuple(row) for row in np.stack(parts, axis=1).tolist()]


def row_of(placement: Placement) -> tuple[int, ...]:
    return (*placement.scaled_size, *placement.visible)


@pytest.mark.parametrize("mode", MODES)
@given(many_sizes, tilings, st.sampled_from(GEOMETRIES))
def test_many_are_placed_as_one_is(
    mode: ResizeMode, sizes: list[tuple[int, int]], tiling: Tiling, geometry: CropGeometry
) -> None:
    canvas = geometry.canvas_size(tiling)
    many = place_many(*columns(sizes), canvas, mode)
    single = [place(size, canvas, mode) for size in sizes]
    assert rows_of(many) == [row_of(placement) for placement in single]
    # Areas beyond 2**53 are rounded before they are divided.
    kept = [placement.content_kept for placement in single]
    np.testing.assert_allclose(many.content_kept, kept, rtol=1e-15)
    assert many.padding_fraction.tolist() == [placement.padding_fraction for placement in single]
    tokens = count_actual_tokens_many(many, tiling, geometry)
    expected = [count_actual_tokens(placement, tiling, geometry) for placement in single]
    assert tokens.tolist() == expected


def test_every_small_size_is_placed_as_one_is() -> None:
    sizes = [(height, width) for height in range(1, 120) for width in range(1, 120)]
    for mode in MODES:
        many = place_many(*columns(sizes), (70, 110), mode)
        assert rows_of(many) == [row_of(place(size, (70, 110), mode)) for size in sizes]


def counted(placement: Placement, tiling: Tiling, geometry: CropGeometry) -> int:
    """Tokens of a canvas that is painted and looked at."""
    canvas = np.zeros(placement.canvas_size, bool)
    top, left, bottom, right = placement.visible
    canvas[top:bottom, left:right] = True
    side, step = geometry.crop_size, geometry.window_size
    tall, wide = (geometry.patch_size * pool for pool in geometry.pooling)
    tokens = 0
    for row in range(tiling[0]):
        for col in range(tiling[1]):
            crop = canvas[row * step : row * step + side, col * step : col * step + side]
            for y in range(0, side, tall):
                for x in range(0, side, wide):
                    tokens += bool(crop[y : y + tall, x : x + wide].any())
    return tokens


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_those_that_see_a_painted_pixel(
    mode: ResizeMode, geometry: CropGeometry
) -> None:
    rng = np.random.default_rng(0)
    for tiling in [(1, 1), (2, 3), (4, 1)]:
        sizes = [(int(h), int(w)) for h, w in rng.integers(1, 900, (8, 2))]
        canvas = geometry.canvas_size(tiling)
        many = count_actual_tokens_many(place_many(*columns(sizes), canvas, mode), tiling, geometry)
        assert many.tolist() == [counted(place(s, canvas, mode), tiling, geometry) for s in sizes]


def test_the_padding_of_a_worked_example() -> None:
    """640 x 480 on a canvas of 560 x 560: 560 x 420, 70 rows of padding above and below."""
    many = place_many(np.array([480]), np.array([640]), (560, 560), "letterbox")
    assert rows_of(many) == [(420, 560, 70, 0, 490, 560)]
    assert many.padding_fraction.tolist() == [0.25]
    assert many.content_kept.tolist() == [1]
    assert count_actual_tokens_many(many, (2, 2), CropGeometry()).tolist() == [4 * (144 - 2 * 12)]
