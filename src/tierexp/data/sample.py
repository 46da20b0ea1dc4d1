"""One question about one image, and what a data set of them must offer.

A data set answers for sizes without decoding pixels, because the crop count of every sample is
known before any image is loaded: batches are made of samples with equal counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tierexp.data.scores.registry import Score

OnError = Literal["skip", "raise"]
"""What a sample that cannot be evaluated does: it is counted as failed, or it ends the run."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question.

    Args:
        sample_id: Unique within its data set.
        question: As it is put to the model.
        answers: Every accepted answer, at least one.
        task: What the question tests, for accuracies per task.
        blind_guess: The best answer without the image, where the data set knows one: accuracy
            means little until it is compared with what such guesses reach.
        options: The texts that the letters A, B, ... stand for, where a question has them; scores
            that read a choice need them.
    """

    sample_id: str
    question: str
    answers: tuple[str, ...]
    task: str
    blind_guess: str | None = None
    options: tuple[str, ...] = ()


class QuestionDataset(Protocol):
    """Samples in a fixed order."""

    @property
    def name(self) -> str:
        """How results and file names call the data set, `_` between words."""

    @property
    def score(self) -> Score | str:
        """The score that its answers are made for, or its name (`tierexp.data.scores.registry`)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels of a sample's image, as it is displayed.

        Raises:
            ImageDecodeError: Its header cannot be read.
        """

    def image_key(self, index: int) -> str:
        """Equal for samples that ask about the same image, and only for those."""

    def image(self, index: int) -> NDArray[np.uint8]:
        """A sample's image, (height, width, 3) RGB.

        Raises:
            ImageDecodeError: It cannot be decoded.
        """


@runtime_checkable
class ScaledDecoding(Protocol):
    """A data set whose files may be decoded smaller than they are."""

    def image_at_least(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A sample's image, (height, width, 3) RGB, for something that resizes it to no more than
        `size`: whole, or at a fraction of its size that is no smaller.

        Raises:
            ImageDecodeError: It cannot be decoded.
        """
