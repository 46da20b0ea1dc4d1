"""The order of Molmo's patch masks.

In: masks, a row a view. Out: the rows as a checkpoint was trained on them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # It imports torch; what is checked before a run does without.
    from tierexp.imaging.preprocess import PreprocessedImage

MaskOrder = Literal["aligned", "shifted"]
"""Which view a row of the patch mask belongs to: its own (`aligned`), or, as in the published Molmo
preprocessor, row i is local crop i's although row 0 is used for the global view (`shifted`; the
last row is -1)."""


def ordered_masks(masks: NDArray[np.float32], order: MaskOrder) -> NDArray[np.float32]:
    """The rows of a mask in an order.

    Args:
        masks: (N + 1, P): of the global view, then of every crop.
        order: That the model was trained on.

    Returns:
        (N + 1, P) float32; a new array where shifted.
    """
    if order == "aligned":
        return masks
    return np.concatenate([masks[1:], np.full_like(masks[:1], -1)])


def with_ordered_masks(image: PreprocessedImage, order: MaskOrder) -> PreprocessedImage:
    """The same image, its masks in an order."""
    return replace(image, patch_mask=ordered_masks(image.patch_mask, order))
