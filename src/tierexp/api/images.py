"""Images and questions handed over in Python, as a data set.

In: paths, Pillow images or arrays, and questions. Out: a `QuestionDataset`. An image that several
questions are about is decoded once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tierexp.data.sample import Sample
from tierexp.errors import ConfigError, DataError
from tierexp.imaging.decode import decode_image, pixels_of, read_image_size

ImageLike = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, a Pillow image, or (height, width, 3) uint8 RGB or (height, width)
uint8 grey."""


def rgb_pixels(image: ImageLike) -> NDArray[np.uint8]:
    """An image as it is displayed, (height, width, 3) uint8 RGB.

    Raises:
        DataError: An array of another shape or dtype.
        ImageDecodeError: A file that cannot be decoded.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
            raise DataError(f"an image as an array is uint8, (h, w, 3): not {_described(image)}")
        pixels = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        if pixels.shape[2] != 3:
            raise DataError(f"an image as an array has 3 channels, RGB: not {_described(image)}")
        return np.ascontiguousarray(pixels)
    if isinstance(image, Image.Image):
        return pixels_of(image)
    return decode_image(image if isinstance(image, bytes) else Path(image).expanduser())


def _described(image: NDArray[np.generic]) -> str:
    return f"{image.dtype} {image.shape}"


class AskedQuestions:
    """Questions about images, without answers.

    Args:
        images: As they were handed over; objects that are the same are one image.
        questions: One about each.

    Raises:
        DataError: Not as many questions as images, or none.
        ConfigError: A question that is no text, or asks nothing.
    """

    name = "asked"
    score = "exact_match"

    def __init__(self, images: Sequence[ImageLike], questions: Sequence[str]) -> None:
        if len(images) != len(questions) or not images:
            raise DataError(
                f"{len(images)} images and {len(questions)} questions: as many, at least one each"
            )
        for question in questions:
            if not isinstance(question, str) or not question.strip():
                raise ConfigError("question", question, "a text that asks something")
        self._images = list(images)
        self._questions = list(questions)
        self._pixels: dict[str, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), self._questions[index], ("",), "asked")

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels."""
        image = self._images[index]
        if isinstance(image, bytes):
            return read_image_size(image)
        if isinstance(image, str | os.PathLike):
            return read_image_size(Path(image).expanduser())
        height, width, _ = self.image(index).shape
        return height, width

    @cached_property
    def _keys(self) -> list[str]:
        return [
            str(image) if isinstance(image, str | os.PathLike) else f"object {id(image)}"
            for image in self._images
        ]

    def image_key(self, index: int) -> str:
        """The path, or which object it is."""
        return self._keys[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB."""
        key = self.image_key(index)
        if key not in self._pixels:
            self._pixels = {key: rgb_pixels(self._images[index])}
        return self._pixels[key]
