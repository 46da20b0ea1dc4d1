"""A prompt without some vision tokens is the prompt with their places cut out."""

from __future__ import annotations

import numpy as np
import pytest

from tierexp import CropGeometry
from tierexp.models.molmo.token_layout import layout_tokens
from tierexp.models.molmo.tokenizer import ImageTokenIds
from tierexp.training.token_dropping import without

IDS = ImageTokenIds(im_start=1000, im_end=1001, im_patch=1002, im_col=1003)


@pytest.mark.parametrize("tiling", [(1, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_what_stays_keeps_its_order_and_its_patch(tiling: tuple[int, int], share: float) -> None:
    layout = layout_tokens(tiling, CropGeometry(), IDS, [7], [11, 12])
    left_out = np.random.default_rng(0).random(layout.image_input_idx.shape) < share
    shorter = without(layout, left_out)
    # Written with a list: the places that remain, one after the other.
    gone = {int(p) for p in layout.image_input_idx[left_out] if p >= 0}
    places = [place for place in range(len(layout.input_ids)) if place not in gone]
    assert shorter.input_ids.tolist() == [layout.input_ids[place] for place in places]
    for index in np.ndindex(left_out.shape):
        before, after = layout.image_input_idx[index], shorter.image_input_idx[index]
        if before < 0 or left_out[index]:
            assert after == -100
        else:
            assert places[after] == before
            assert shorter.input_ids[after] == IDS.im_patch
    assert shorter.input_ids[0] == 7
    assert shorter.input_ids[-2:].tolist() == [11, 12]
