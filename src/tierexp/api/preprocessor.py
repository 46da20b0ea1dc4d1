"""The drop-in for people who stay with the published code: its preprocessor, at a tier.

In: an image and a prompt. Out: exactly the arrays that the published preprocessor makes, at the
tiling that a tier selects, so that the published model runs at a tier by changing one line.
Imports torch for `process` alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tierexp.api.composition import model_source
from tierexp.api.images import ImageLike, rgb_pixels
from tierexp.config.checks import choice, whole_number
from tierexp.errors import ConfigError, DataError
from tierexp.imaging.resize import ResizeMode
from tierexp.models.protocol import HasPublishedProcessor
from tierexp.tiers.files import load_tier
from tierexp.tiers.native import NativeRule
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection, select_crops
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier

if TYPE_CHECKING:
    from torch import Tensor

IdsName = Literal["input_ids", "input_tokens"]


class Preprocessor:
    """Molmo's or Molmo2's published preprocessor, at a tier, a crop count, or its own rule.

    Args:
        tier: `low`, `medium`, `high`, another option of `conf/tier`, a YAML file, or a rule.
        exact_num_crops: This many crops for every image, in the tiling closest to its shape.
            Neither it nor a tier: the model's own rule.
        model: Whose tokenizer: an option of `conf/model` or a checkpoint's folder, of which
            no weights are read.
        max_crops: Most crops of the model's own rule; None for the published number.
        threshold: When a tier's preferred counts suffice.
        resize: How the image meets its canvas; None for the published way, which is `letterbox` for
            Molmo and `stretch` for Molmo2.
        ids_name: What the ids are called: `input_ids` by the released checkpoints' processor,
            `input_tokens` by the training code's.

    Raises:
        TierexpError: A tier or a model that does not exist, or both a tier and a count.
    """

    def __init__(
        self,
        tier: str | Path | CropRule | None = None,
        *,
        exact_num_crops: int | None = None,
        model: str | Path = "tiny",
        max_crops: int | None = None,
        threshold: Threshold = Threshold(),
        resize: ResizeMode | None = None,
        ids_name: IdsName = "input_ids",
    ) -> None:
        if tier is not None and exact_num_crops is not None:
            raise ConfigError("exact_num_crops", exact_num_crops, "left out beside a tier")
        choice("ids_name", ids_name, ("input_ids", "input_tokens"))
        source = model_source(model, {})
        if not isinstance(source, HasPublishedProcessor):
            allowed = "a Molmo or Molmo2: their own preprocessors are followed here"
            raise ConfigError("model", str(model), allowed)
        self._published = source.published()
        most = self._published.max_crops if max_crops is None else max_crops
        self._rule = _rule(tier, exact_num_crops, most)
        self._threshold = threshold
        self._resize = self._published.resize(resize)
        self._geometry = source.geometry
        self._ids_name = ids_name

    def select(self, height: int, width: int) -> Selection:
        """The crops that an image of this size gets."""
        return select_crops(self._rule, height, width, self._geometry, self._threshold)

    def __call__(self, image: ImageLike, prompt: str) -> dict[str, NDArray[np.generic]]:
        """An image and a prompt as the published model takes them.

        Args:
            image: A path, a Pillow image, or an array.
            prompt: The question; what the published prompt has around it is put there.

        Returns:
            For N crops and a global view of P patches, p pixels a patch's side: of Molmo, with K
            tokens a view and no batch dimension, `input_ids` (T,) int64, `images` (N + 1, P, 3 p p)
            float32, `image_input_idx` (N + 1, K) int32, `image_masks` (N + 1, P) float32. Of
            Molmo2, with L vision tokens of four patches, `input_ids`, `attention_mask` and
            `mm_token_type_ids` (1, T) int64, `pixel_values` (N + 1, P, 3 p p) float32,
            `image_token_pooling` (L, 4) int32, `image_grids` (1, 4) and `image_num_crops` (1,)
            int64.

        Raises:
            DataError: An array that is no image.
            ImageDecodeError: A file that cannot be decoded.
        """
        pixels = rgb_pixels(image)
        tiling = self.select(*pixels.shape[:2]).tiling
        arrays = self._published.arrays(pixels, tiling, self._resize, prompt)
        return {self._ids_name if name == "input_ids" else name: of for name, of in arrays.items()}

    def process(self, images: list[ImageLike] | ImageLike, text: str) -> dict[str, Tensor]:
        """The same as tensors, called as the released checkpoints' processor is.

        Args:
            images: One image, or a list of one.
            text: The prompt.

        Raises:
            DataError: Several images.
        """
        import torch

        given: list[ImageLike] = list(images) if isinstance(images, list | tuple) else [images]
        if len(given) != 1:
            raise DataError(f"{len(given)} images: a tier is chosen for one image a prompt")
        return {name: torch.from_numpy(array) for name, array in self(given[0], text).items()}


def _rule(tier: str | Path | CropRule | None, crops: int | None, max_crops: int) -> CropRule:
    if crops is not None:
        whole_number("exact_num_crops", crops, 1)
        return Tier(f"exact_{crops}", crops, crops, (crops,), typical_vision_tokens=1)
    if tier is None:
        return NativeRule(max_crops=max_crops)
    return load_tier(tier) if isinstance(tier, str | Path) else tier
