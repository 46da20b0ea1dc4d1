"""MME: two yes/no questions about every image, one of each answer, scored alone and as a pair.

Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models" (2023),
section 2.2, and its evaluation code for what counts as a yes or a no. Always saying yes is right
half the time; of pairs it gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tierexp.data.scores.exact_match import normalise_answer

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark",
    "artwork", "OCR",
)  # fmt: skip
COGNITION = (
    "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
)  # fmt: skip
"""The subtasks whose scores add up to each of the two published scores."""
_READ = 4
"""Letters the official code looks at."""


@dataclass(frozen=True)
class MmeScore:
    """What one of MME's subtasks reaches.

    Args:
        accuracy: Fraction of questions that are right, in [0, 1].
        accuracy_plus: Fraction of images both of whose questions are right, in [0, 1].
    """

    accuracy: float
    accuracy_plus: float

    @property
    def score(self) -> float:
        """The published score, in [0, 200]: the two in percent, added up."""
        return 100 * (self.accuracy + self.accuracy_plus)


@dataclass(frozen=True)
class MmeTotals:
    """The published scores of a run.

    Args:
        score_by_task: Score of every subtask, in [0, 200].
        perception: Sum over the ten of `PERCEPTION`, in [0, 2000]; None where one is missing.
        cognition: Sum over the four of `COGNITION`, in [0, 800]; None where one is missing.
        num_images: Whose two questions were both answered; others are not in the figures.
    """

    score_by_task: dict[str, float]
    perception: float | None
    cognition: float | None
    num_images: int


def yes_or_no(prediction: str) -> Literal["yes", "no"] | None:
    """What a prediction says, by its first four letters alone; None where it says neither.

    The official rule, odd as it is: `Not sure` is a no, and so is `know`; `I say yes` is neither.

    Args:
        prediction: What the model said.
    """
    start = prediction.strip().lower()[:_READ]
    if "yes" in start:
        return "yes"
    return "no" if "no" in start else None


def mme(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction says yes or no as the answer does, else 0.0.

    Args:
        prediction: What the model said.
        answers: One, `yes` or `no`.

    Raises:
        ValueError: Another answer, or more than one.
    """
    right = [normalise_answer(answer) for answer in answers]
    if right not in (["yes"], ["no"]):
        raise ValueError("one answer, 'yes' or 'no'")
    return float(yes_or_no(prediction) == right[0])


def is_parsed(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> bool:
    """Whether a prediction says yes or no.

    Args:
        prediction: What the model said.
        answers: Not looked at.
        options: Not looked at.
    """
    del answers, options
    return yes_or_no(prediction) is not None


def score_pairs(pairs: Iterable[tuple[bool, bool]]) -> MmeScore:
    """The scores of images from which of their two answers are right.

    Args:
        pairs: One per image, at least one.

    Raises:
        ValueError: There are none.
    """
    rights = [sum(pair) for pair in pairs]
    if not rights:
        raise ValueError("no images to score")
    return MmeScore(sum(rights) / (2 * len(rights)), rights.count(2) / len(rights))


def add_up(answers: Iterable[tuple[str, str, bool]]) -> MmeTotals:
    """The published scores from single answers.

    Args:
        answers: (subtask, image, whether it is right), at most two of an image.

    Raises:
        ValueError: An image was asked about more than twice.
    """
    rights: dict[str, dict[str, list[bool]]] = {}
    for task, image, right in answers:
        rights.setdefault(task, {}).setdefault(image, []).append(right)
    scores: dict[str, float] = {}
    images = 0
    for task, of_image in sorted(rights.items()):
        for image, of_pair in of_image.items():
            if len(of_pair) > 2:
                raise ValueError(f"image {image} has {len(of_pair)} answers, MME pairs two")
        pairs = [(pair[0], pair[1]) for pair in of_image.values() if len(pair) == 2]
        images += len(pairs)
        if pairs:
            scores[task] = score_pairs(pairs).score
    return MmeTotals(scores, _sum(scores, PERCEPTION), _sum(scores, COGNITION), images)


def _sum(scores: dict[str, float], tasks: Sequence[str]) -> float | None:
    return sum(scores[task] for task in tasks) if scores.keys() >= set(tasks) else None
