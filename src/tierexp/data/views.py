"""Samples as a policy sees them: the question, and the image as far as it is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierexp.data.sample import QuestionDataset
from tierexp.imaging.resize import place


class DatasetView:
    """A `SampleView` of one sample of a data set.

    Args:
        dataset: The samples.
        index: Which.
        image_size: (height, width) of its image, in pixels.
    """

    def __init__(self, dataset: QuestionDataset, index: int, image_size: tuple[int, int]) -> None:
        self._dataset = dataset
        self._index = index
        self.image_size = image_size

    @property
    def question(self) -> str:
        """As it is put to the model."""
        return self._dataset[self._index].question

    @property
    def image_key(self) -> str:
        """Equal for samples that ask about the same image."""
        return self._dataset.image_key(self._index)

    def thumbnail(self, side: int) -> NDArray[np.uint8]:
        """See `SampleView`; decodes the image every time."""
        from tierexp.imaging.resample import resample  # torch, which choosing a tier does without

        pixels = self._dataset.image(self._index)
        size = pixels.shape[0], pixels.shape[1]
        scale = min(1.0, side / max(size))
        small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        thumbnail: NDArray[np.uint8] = np.asarray(resample(pixels, place(size, small, "stretch")))
        return thumbnail
