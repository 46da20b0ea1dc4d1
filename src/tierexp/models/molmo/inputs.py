"""Molmo's inputs: crops, and patch masks in the order that a checkpoint was trained on.

In: an image's pixels, its tiling, and a question. Out: rows, and batches of rows. An
`InputBuilder`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.imaging.preprocess import PreprocessedImage
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Size
from tierexp.models.molmo.crop_inputs import CropInputs, CropTokenizer
from tierexp.models.molmo.mask_order import MaskOrder, with_ordered_masks
from tierexp.tiers.geometry import Tiling


class MolmoInputs(CropInputs):
    """Makes inputs from samples.

    Args:
        tokenizer: Tokenizer of the model.
        mask_order: Which view a row of the patch mask belongs to, for this model.
    """

    def __init__(self, tokenizer: CropTokenizer, mask_order: MaskOrder) -> None:
        super().__init__(tokenizer)
        self._mask_order = mask_order

    @override
    def image(
        self, pixels: NDArray[np.uint8], tiling: Tiling, preprocessing: Preprocessing
    ) -> PreprocessedImage:
        image = super().image(pixels, tiling, preprocessing)
        return with_ordered_masks(image, self._mask_order)

    @override
    def smaller_image(
        self,
        pixels: NDArray[np.uint8],
        image_size: Size,
        tiling: Tiling,
        preprocessing: Preprocessing,
    ) -> PreprocessedImage:
        image = super().smaller_image(pixels, image_size, tiling, preprocessing)
        return with_ordered_masks(image, self._mask_order)
