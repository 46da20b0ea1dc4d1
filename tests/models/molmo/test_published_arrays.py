"""The published preprocessor's arrays: numbers that its own code gave, told to use a tiling.

The numbers come from `image_preprocessing_molmo.py` (the copy that resizes with torch, its scale in
float32 as in the original), run on the formula image with `select_tiling` replaced.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tests.support.molmo2_models import formula_image
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.published_arrays import published_arrays
from tierexp.models.molmo.tokenizer import ImageTokenIds
from tierexp.tiers.geometry import CropGeometry

IDS = ImageTokenIds(im_start=320, im_end=321, im_patch=322, im_col=323)
MASKS = [543.4285888671875, 576.0, 543.4285888671875, 543.4285888671875, 576.0, 543.4285888671875]
MEANS = [-0.28344, 0.08251, 0.18767, 0.08307, 0.0822, 0.1874, 0.08244]
DEVIATIONS = [1.11242, 1.0649, 0.99453, 1.05142, 1.06009, 0.98911, 1.04648]
PIXELS = [0.06379, -0.41787, 0.94838, -0.96497, -1.10854, 0.98682, 1.52617]
"""Of patch 300, value 77, in each crop."""


def digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_six_crops_of_the_formula_image() -> None:
    arrays = published_arrays(
        formula_image(480, 640), (2, 3), Resize("letterbox", "letterbox", exact=True),
        CropGeometry(), IDS, [2], [10, 11, 12],
    )  # fmt: skip
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "input_ids": ("int64", (744,)),
        "images": ("float32", (7, 576, 588)),
        "image_input_idx": ("int32", (7, 144)),
        "image_masks": ("float32", (7, 576)),
    }
    assert digest(arrays["input_ids"]) == "fa78f956ee7b56bf"
    assert digest(arrays["image_input_idx"]) == "a0cb1b7d376cb7de"
    np.testing.assert_allclose(arrays["image_masks"].sum(axis=1), [*MASKS, -576], rtol=1e-6)
    images = arrays["images"].astype(np.float64)
    np.testing.assert_allclose(images.mean(axis=(1, 2)), MEANS, atol=2e-5)
    np.testing.assert_allclose(images.std(axis=(1, 2)), DEVIATIONS, atol=2e-5)
    np.testing.assert_allclose(images[:, 300, 77], PIXELS, atol=2e-5)
