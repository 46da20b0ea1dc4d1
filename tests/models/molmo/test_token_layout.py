"""The token sequence against the published one, and against where its patches lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierexp.models.molmo.token_layout import DROPPED, layout_tokens
from tierexp.models.molmo.tokenizer import ImageTokenIds
from tierexp.tiers.geometry import CropGeometry

GOLDEN = Path(__file__).parents[2] / "golden" / "preprocessing.npz"
MARGINS_OF_EVERY_KIND = (
    CropGeometry(),
    CropGeometry(crop_size=24, patch_size=3, overlap_margins=(2, 2)),
    CropGeometry(crop_size=24, patch_size=3, overlap_margins=(2, 0), pooling=(2, 1)),
    CropGeometry(crop_size=24, patch_size=2, overlap_margins=(0, 3), pooling=(3, 3)),
)
tilings = st.tuples(st.integers(1, 5), st.integers(1, 5))
IDS = ImageTokenIds(im_start=320, im_end=321, im_patch=322, im_col=323)


def test_the_published_preprocessor_made_the_same_sequence():
    golden = np.load(GOLDEN)
    prompt = [10 + ord(letter) % 200 for letter in " What is it?"]
    layout = layout_tokens((1, 2), CropGeometry(), IDS, [2], prompt)
    np.testing.assert_array_equal(layout.input_ids, golden["input_ids"])
    np.testing.assert_array_equal(layout.image_input_idx, golden["image_input_idx"])
    assert layout.input_ids.dtype == layout.image_input_idx.dtype == np.int64


def test_the_sequence_reads_bos_view_canvas_prompt():
    geometry = CropGeometry(crop_size=8, patch_size=2, overlap_margins=(0, 0))
    layout = layout_tokens((1, 2), geometry, IDS, [1], [7, 8])
    view = [320, *[322, 322, 323] * 2, 321]
    canvas = [320, *[322, 322, 322, 322, 323] * 2, 321]
    assert layout.input_ids.tolist() == [1, *view, *canvas, 7, 8]
    assert layout.image_input_idx.tolist() == [
        [2, 3, 5, 6],
        [10, 11, 15, 16],
        [12, 13, 17, 18],
    ]


@given(tilings, st.sampled_from(MARGINS_OF_EVERY_KIND))
def test_every_image_patch_of_the_sequence_gets_exactly_one_token(tiling, geometry):
    layout = layout_tokens(tiling, geometry, IDS, [1], [5])
    kept = layout.image_input_idx[layout.image_input_idx != DROPPED]
    assert sorted(kept) == np.flatnonzero(layout.input_ids == IDS.im_patch).tolist()
    assert len(kept) == geometry.llm_vision_tokens(tiling)
    assert layout.image_input_idx.shape == (
        tiling[0] * tiling[1] + 1,
        geometry.tokens_per_crop,
    )


@given(tilings, st.sampled_from(MARGINS_OF_EVERY_KIND[:2]))
def test_a_token_stands_where_its_patches_lie_on_the_canvas(tiling, geometry):
    """Where margins are whole tokens, the canvas is one grid of tokens, whichever crop a token
    is taken from."""
    layout = layout_tokens(tiling, geometry, IDS, [1], [])
    rows, cols = geometry.token_grid
    canvas_cols = geometry.canvas_size(tiling)[1] // (geometry.patch_size * geometry.pooling[1])
    first = 1 + (2 + rows * (cols + 1)) + 1
    step = (
        geometry.window_patches // geometry.pooling[0],
        geometry.window_patches // geometry.pooling[1],
    )
    local = layout.image_input_idx[1:].reshape(*tiling, rows, cols)
    for (row, col, y, x), position in np.ndenumerate(local):
        if position != DROPPED:
            canvas_y, canvas_x = row * step[0] + y, col * step[1] + x
            assert position == first + canvas_y * (canvas_cols + 1) + canvas_x


@given(tilings)
def test_tokens_are_kept_by_the_crop_in_which_they_are_less_marginal(tiling):
    """Of two neighbours that see the same patch, the one whose margin it lies in drops it."""
    geometry = CropGeometry()
    local = layout_tokens(tiling, geometry, IDS, [1], []).image_input_idx[1:]
    kept = (local != DROPPED).reshape(*tiling, 12, 12)
    for row in range(tiling[0]):
        for col in range(tiling[1]):
            expected = np.ones((12, 12), bool)
            expected[: 2 if row > 0 else 0] = False
            expected[10 if row < tiling[0] - 1 else 12 :] = False
            expected[:, : 2 if col > 0 else 0] = False
            expected[:, 10 if col < tiling[1] - 1 else 12 :] = False
            np.testing.assert_array_equal(kept[row, col], expected)


@pytest.mark.parametrize("place", ["last", "none"])
def test_the_global_view_stands_where_the_geometry_has_it(place):
    """The tokens of view and canvas change places, and every position goes with its token."""
    first = CropGeometry()
    other = replace(first, global_view=place)
    tiling, tokens = (2, 3), first.tokens_per_crop
    there, here = (layout_tokens(tiling, g, IDS, [9], [7, 8]) for g in (first, other))
    view, canvas = 12 * 13 + 2, 20 * 29 + 2  # rows of 12 and of 28 tokens, each with its end
    assert len(there.input_ids) == 1 + view + canvas + 2
    of_view, of_canvas = there.input_ids[1 : 1 + view], there.input_ids[1 + view : -2]
    views = [] if place == "none" else [of_view]
    assert here.input_ids.tolist() == np.concatenate([[9], of_canvas, *views, [7, 8]]).tolist()
    kept = there.image_input_idx[1:]
    moved = [np.where(kept < 0, kept, kept - view)]
    if place == "last":
        moved.append(there.image_input_idx[:1] + canvas)
    assert here.image_input_idx.tolist() == np.concatenate(moved).tolist()
    assert here.image_input_idx.shape == (other.views(6), tokens)
    assert (here.image_input_idx >= 0).sum() == other.llm_vision_tokens(tiling)
