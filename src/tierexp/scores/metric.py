"""Scores accumulated over batches and processes, as torchmetrics.

In: predictions and answers. Out: means. The scores themselves are functions without torch, in the
files beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from typing_extensions import override

from tierexp.scores.mme import mme, score_pairs
from tierexp.scores.registry import Score


class ScoreMetric(Metric):
    """The mean of a score over questions; NaN where there were none.

    Args:
        score: Of one question.
    """

    full_state_update = False
    higher_is_better = True
    total: Tensor  # () float
    questions: Tensor  # () int64

    def __init__(self, score: Score) -> None:
        super().__init__()
        self._score = score
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("questions", torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
        """Score one batch.

        Args:
            predictions: What the model said, one per question.
            answers: Those of each question.

        Raises:
            ValueError: Not as many answers as predictions, or answers without such a score.
        """
        scores = [self._score(*pair) for pair in zip(predictions, answers, strict=True)]
        self.total += sum(scores)
        self.questions += len(scores)

    @override
    def compute(self) -> Tensor:
        """The mean so far, ()."""
        return self.total / self.questions


class MmePairs(Metric):
    """MME's accuracy, accuracy+ and their sum in percent, over images with two questions each.

    The answers of an image may come in different batches and on different processes; each must
    come once, so a sampler must not repeat samples to make processes even.
    """

    full_state_update = False
    higher_is_better = True
    images: list[Tensor]  # each (B,) int64
    rights: list[Tensor]  # each (B,) bool

    def __init__(self) -> None:
        super().__init__()
        self.add_state("images", [], dist_reduce_fx="cat")
        self.add_state("rights", [], dist_reduce_fx="cat")

    @override
    def update(
        self, predictions: Sequence[str], answers: Sequence[Sequence[str]], images: Sequence[int]
    ) -> None:
        """Score the questions of one batch.

        Args:
            predictions: What the model said, one per question.
            answers: The one answer of each question, `yes` or `no`.
            images: The number of each question's image.

        Raises:
            ValueError: Arguments of unequal length, or another answer.
        """
        rights = [
            bool(mme(prediction, right))
            for prediction, right, _ in zip(predictions, answers, images, strict=True)
        ]
        self.images.append(torch.tensor(images, dtype=torch.int64, device=self.device))
        self.rights.append(torch.tensor(rights, dtype=torch.bool, device=self.device))

    @override
    def compute(self) -> dict[str, Tensor]:
        """`accuracy` and `accuracy_plus` in [0, 1], `score` in [0, 200], each ().

        Raises:
            ValueError: No images, or one that was not asked about exactly twice.
        """
        of_image: dict[int, list[bool]] = {}
        if len(self.images):
            images, rights = dim_zero_cat(self.images), dim_zero_cat(self.rights)
            for image, right in zip(images.tolist(), rights.tolist(), strict=True):
                of_image.setdefault(image, []).append(right)
        pairs = []
        for image, answered in of_image.items():
            if len(answered) != 2:
                raise ValueError(f"image {image} has {len(answered)} answers, MME pairs two")
            pairs.append((answered[0], answered[1]))
        score = score_pairs(pairs)
        figures = {
            "accuracy": score.accuracy,
            "accuracy_plus": score.accuracy_plus,
            "score": score.score,
        }
        return {name: torch.tensor(value, device=self.device) for name, value in figures.items()}
