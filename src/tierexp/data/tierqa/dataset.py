"""The generated data set: seven questions about every picture, three of them to read a code.

In: a split. Out: samples by index, pictures and sizes, as `tierexp.data.sample` asks for; nothing
is stored or downloaded. Knows nothing about crops or models.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import choice, optional_whole_number
from tierexp.data.sample import Sample
from tierexp.data.tierqa.generator import generate_scene, scene_size, stream
from tierexp.data.tierqa.guess import blind_guess
from tierexp.data.tierqa.questions import PER_PICTURE, Question, questions_for
from tierexp.data.tierqa.render import render
from tierexp.data.tierqa.scene import Scene

Split = Literal["train", "validation", "test"]

IMAGES: dict[Split, int] = {"train": 1_000_000, "validation": 350, "test": 350}


class TierQA:
    """Pictures with signs and shapes, and questions about them; sample i asks question i % 7
    about picture i // 7.

    Args:
        split: `train`, `validation` or `test`; they share no picture.
        max_samples: Keep only the first samples; None keeps all.

    Raises:
        ConfigError: An unknown split, or `max_samples` below 1.
    """

    score = "exact_match"

    def __init__(self, split: Split = "test", max_samples: int | None = None) -> None:
        choice("data.split", split, get_args(Split))
        optional_whole_number("data.max_samples", max_samples, 1)
        self.split = split
        available = IMAGES[split] * PER_PICTURE
        self._length = available if max_samples is None else min(max_samples, available)

    @property
    def name(self) -> str:
        """How results call it: `tierqa` for the test split, others carry their split."""
        return "tierqa" if self.split == "test" else f"tierqa_{self.split}"

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        picture = self.image_index(index)
        question = _questions(self.split, picture)[index % PER_PICTURE]
        return Sample(
            sample_id=f"{self.split}-{picture:06d}-{index % PER_PICTURE}-{question.task}",
            question=question.text,
            answers=(question.answer,),
            task=question.task,
            blind_guess=blind_guess(question),
        )

    def image_index(self, index: int) -> int:
        """The number of a sample's picture.

        Raises:
            IndexError: Outside the data set.
        """
        if not 0 <= index < self._length:
            raise IndexError(f"sample {index} of {self._length}")
        return index // PER_PICTURE

    def image_key(self, index: int) -> str:
        """The picture's name."""
        return f"tierqa-{self.split}-{self.image_index(index):06d}"

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, without drawing the picture."""
        return scene_size(self.split, self.image_index(index))

    def image(self, index: int) -> NDArray[np.uint8]:
        """The picture, (height, width, 3) RGB."""
        return render(self.scene(self.image_index(index)))

    def scene(self, image_index: int) -> Scene:
        """What picture `image_index` shows."""
        return _scene(self.split, image_index)


@lru_cache(maxsize=8)
def _scene(split: Split, image_index: int) -> Scene:
    return generate_scene(split, image_index)


@lru_cache(maxsize=8)
def _questions(split: Split, image_index: int) -> tuple[Question, ...]:
    rng = stream(split, image_index, "questions")
    return tuple(questions_for(_scene(split, image_index), rng))
