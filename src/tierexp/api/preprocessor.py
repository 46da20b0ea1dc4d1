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
from tierexp.imaging.resize import Resize, ResizeMode
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.published_arrays import published_arrays
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
    """Molmo's published preprocessor, at a tier, a crop count, or its own rule.

    Args:
        tier: `low`, `medium`, `high`, another option of `conf/tier`, a YAML file, or a rule.
        exact_num_crops: This many crops for every image, in the tiling closest to its shape.
            Neither it nor a tier: Molmo's own rule.
        model: Whose tokenizer: an option of `conf/model` or a checkpoint's folder, of which
            no weights are read.
        max_crops: Of Molmo's own rule.
        threshold: When a tier's preferred counts suffice.
        resize: How the image meets its canvas; `letterbox` is the published way.
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
        max_crops: int = 12,
        threshold: Threshold = Threshold(),
        resize: ResizeMode = "letterbox",
        ids_name: IdsName = "input_ids",
    ) -> None:
        if tier is not None and exact_num_crops is not None:
            raise ConfigError("exact_num_crops", exact_num_crops, "left out beside a tier")
        choice("ids_name", ids_name, ("input_ids", "input_tokens"))
        source = model_source(model, {})
        if not isinstance(source, MolmoCheckpoint):
            raise ConfigError("model", str(model), "a Molmo: its own preprocessor is followed here")
        self._rule = _rule(tier, exact_num_crops, max_crops)
        self._threshold = threshold
        self._resize = Resize(resize, "letterbox", exact=True)
        self._geometry = source.geometry
        self._tokenizer = source.tokenizer()
        self._ids_name = ids_name

    def select(self, height: int, width: int) -> Selection:
        """The crops that an image of this size gets."""
        return select_crops(self._rule, height, width, self._geometry, self._threshold)

    def __call__(self, image: ImageLike, prompt: str) -> dict[str, NDArray[np.generic]]:
        """An image and a prompt as the published model takes them, without a batch dimension.

        Args:
            image: A path, a Pillow image, or an array.
            prompt: The question; ` User: ... Assistant:` is put around it.

        Returns:
            For N crops and a global view of P patches and K tokens each, p pixels a patch's side:
            `input_ids` (T,) int64, `images` (N + 1, P, 3 p p) float32, `image_input_idx`
            (N + 1, K) int32, `image_masks` (N + 1, P) float32.

        Raises:
            DataError: An array that is no image.
            ImageDecodeError: A file that cannot be decoded.
        """
        pixels = rgb_pixels(image)
        arrays = published_arrays(
            pixels, self.select(*pixels.shape[:2]).tiling, self._resize, self._geometry,
            self._tokenizer.image_tokens, self._tokenizer.before_image,
            self._tokenizer.encode_prompt(prompt),
        )  # fmt: skip
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
