"""The inputs of families that read crops of one canvas and a global view: Molmo and Molmo2.

In: an image's pixels, its tiling, and a question. Out: rows, and batches of rows (`ModelInputs`).
An `InputBuilder`; a family with inputs of its own brings another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tierexp.imaging.preprocess import PreprocessedImage, needed_size, preprocess, stack_views
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Size
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.token_layout import ImageTokens, layout_tokens
from tierexp.models.protocol import QuestionTokenizer
from tierexp.models.shared_memory import room
from tierexp.tiers.geometry import CropGeometry, Tiling


class CropTokenizer(QuestionTokenizer, Protocol):
    """Questions to the ids that a model that reads crops was trained on."""

    @property
    def image_tokens(self) -> ImageTokens:
        """Ids of the special tokens around an image."""

    @property
    def before_image(self) -> Sequence[int]:
        """Ids that begin every sequence, before the image."""

    @property
    def pad_id(self) -> int:
        """Fills up a batch."""

    def encode_prompt(self, question: str) -> list[int]:
        """Ids that follow the image, up to the answer."""


@dataclass(frozen=True)
class CropRow:
    """One row of a batch before it is padded.

    Args:
        image: Its crops and masks; rows about one image share it.
        input_ids: (T,) int64.
        image_input_idx: (V, K) int64, for V views.
    """

    image: PreprocessedImage
    input_ids: NDArray[np.int64]
    image_input_idx: NDArray[np.int64]


@dataclass(frozen=True)
class AskedImage:
    """A question about an image, before it is tokenized.

    Args:
        image: Its crops and masks; questions about one image share it.
        tiling: (rows, cols) of crops.
        geometry: Geometry of the crops.
        question: As put to the model.
    """

    image: PreprocessedImage
    tiling: Tiling
    geometry: CropGeometry
    question: str


class CropInputs:
    """Makes inputs from samples.

    Args:
        tokenizer: Tokenizer of the model.
    """

    def __init__(self, tokenizer: CropTokenizer) -> None:
        self._tokenizer = tokenizer

    def image(
        self, pixels: NDArray[np.uint8], tiling: Tiling, preprocessing: Preprocessing
    ) -> PreprocessedImage:
        """See `InputBuilder`."""
        resize, geometry = preprocessing.resize, preprocessing.geometry
        return preprocess(pixels, tiling, resize, geometry)

    def needed_size(self, image_size: Size, tiling: Tiling, preprocessing: Preprocessing) -> Size:
        """See `TakesSmallerImages`."""
        return needed_size(image_size, tiling, preprocessing.resize, preprocessing.geometry)

    def smaller_image(
        self,
        pixels: NDArray[np.uint8],
        image_size: Size,
        tiling: Tiling,
        preprocessing: Preprocessing,
    ) -> PreprocessedImage:
        """See `TakesSmallerImages`."""
        resize, geometry = preprocessing.resize, preprocessing.geometry
        return preprocess(pixels, tiling, resize, geometry, image_size)

    def row(
        self, image: PreprocessedImage, tiling: Tiling, geometry: CropGeometry, question: str
    ) -> AskedImage:
        """See `InputBuilder`."""
        return AskedImage(image, tiling, geometry, question)

    def collate(self, rows: Sequence[AskedImage]) -> ModelInputs:
        """See `InputBuilder`."""
        # Tokenizing question after question takes half the time it does with images in between.
        prompts = [self._tokenizer.encode_prompt(row.question) for row in rows]
        laid_out = [self._row(row, ids) for row, ids in zip(rows, prompts, strict=True)]
        return collate_crops(laid_out, self._tokenizer.pad_id)

    def _row(self, asked: AskedImage, prompt: Sequence[int]) -> CropRow:
        tokenizer = self._tokenizer
        layout = layout_tokens(
            asked.tiling, asked.geometry, tokenizer.image_tokens, tokenizer.before_image, prompt
        )
        return CropRow(asked.image, layout.input_ids, layout.image_input_idx)


def collate_crops(rows: Sequence[CropRow], pad_id: int) -> ModelInputs:
    """Stack rows of equal crop count; shorter prompts are padded on the left, and an image that
    several rows share is there once.

    Args:
        rows: At least one, all with the same number of crops.
        pad_id: The token that pads.

    Raises:
        ValueError: Rows of different crop counts.
    """
    longest = max(len(row.input_ids) for row in rows)
    input_ids = np.full((len(rows), longest), pad_id, np.int64)
    padding = np.array([longest - len(row.input_ids) for row in rows])
    image_index = []
    # Rows about one image share it, as `SamplePreparer` hands them out.
    images: list[PreprocessedImage] = []
    places: dict[int, int] = {}
    for i, row in enumerate(rows):
        input_ids[i, padding[i] :] = row.input_ids
        if id(row.image) not in places:
            places[id(row.image)] = len(images)
            images.append(row.image)
        image_index.append(places[id(row.image)])
    pixels = torch.from_numpy(stack_views(images, room))
    positions = np.stack([row.image_input_idx for row in rows])  # (B, V, K)
    return ModelInputs(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(np.arange(longest) >= padding[:, None]),
        pixels=pixels,
        patch_mask=torch.from_numpy(np.stack([image.patch_mask for image in images])),
        image_input_idx=torch.from_numpy(
            np.where(positions < 0, positions, positions + padding[:, None, None])
        ),
        image_index=torch.tensor(image_index),
    )
