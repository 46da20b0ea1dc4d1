"""The arrays that Molmo's published preprocessor makes, at any tiling.

In: pixels and a tiling. Out: what `MolmoProcessor.process` of the released checkpoints hands to the
published model, under its names: same shapes, dtypes and values. Follows
`image_preprocessing_molmo.py` and `preprocessing_molmo.py`, published with the checkpoints (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.preprocess import preprocess
from tierexp.imaging.resize import Resize, ResizeMode
from tierexp.models.molmo.mask_order import ordered_masks
from tierexp.models.molmo.token_layout import ImageTokens, layout_tokens
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.tiers.geometry import CropGeometry, Tiling

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Means and deviations of OpenAI's CLIP, as the published preprocessor normalises with."""


@dataclass(frozen=True)
class MolmoPublished:
    """A `PublishedProcessor`.

    Args:
        geometry: Geometry of the crops.
        tokenizer: Tokenizer of the checkpoint.
    """

    geometry: CropGeometry
    tokenizer: PromptTokenizer

    @property
    def max_crops(self) -> int:
        """Most crops of the processor's own rule."""
        return 12

    def resize(self, mode: ResizeMode | None) -> Resize:
        """How an image meets its canvas; published: an exact letterbox."""
        return Resize(mode or "letterbox", "letterbox", exact=True)

    def arrays(
        self, image: NDArray[np.uint8], tiling: Tiling, resize: Resize, prompt: str
    ) -> dict[str, NDArray[np.generic]]:
        """See `published_arrays`; ` User: ... Assistant:` is put around the prompt."""
        tokenizer = self.tokenizer
        return published_arrays(
            image, tiling, resize, self.geometry, tokenizer.image_tokens, tokenizer.before_image,
            tokenizer.encode_prompt(prompt),
        )  # fmt: skip


def published_arrays(
    image: NDArray[np.uint8],
    tiling: Tiling,
    resize: Resize,
    geometry: CropGeometry,
    image_tokens: ImageTokens,
    before_image: Sequence[int],
    prompt_ids: Sequence[int],
) -> dict[str, NDArray[np.generic]]:
    """An image and its prompt as the published model takes them, without a batch dimension.

    Args:
        image: (height, width, 3) uint8 RGB.
        tiling: (rows, cols) of crops.
        resize: How the image meets its canvas; the published one is an exact letterbox.
        geometry: Geometry of the crops.
        image_tokens: Ids of the image's special tokens.
        before_image: Ids that begin every sequence.
        prompt_ids: The prompt, tokenized.

    Returns:
        For N crops and a global view of P patches and K tokens each, p pixels a patch's side:
        `input_ids` (T,) int64, `images` (N + 1, P, 3 p p) float32, `image_input_idx` (N + 1, K)
        int32, `image_masks` (N + 1, P) float32.
    """
    prepared = preprocess(image, tiling, resize, geometry)
    layout = layout_tokens(tiling, geometry, image_tokens, before_image, prompt_ids)
    patches = [_patches(crop, geometry.patch_size) for crop in prepared.views]
    return {
        "input_ids": layout.input_ids,
        "images": np.stack(patches),
        "image_input_idx": layout.image_input_idx.astype(np.int32),
        "image_masks": ordered_masks(prepared.patch_mask, "shifted"),
    }


def _patches(crop: NDArray[np.generic], patch: int) -> NDArray[np.float32]:
    """(S, S, 3) to (P, 3 p p), normalised in the published order of operations."""
    pixels = crop.astype(np.float32)
    if crop.dtype == np.uint8:
        pixels /= np.float32(255)
    pixels -= np.array(MEAN, np.float32)
    pixels /= np.array(STD, np.float32)
    side = crop.shape[0] // patch
    grid = pixels.reshape(side, patch, side, patch, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(side * side, patch * patch * 3)
