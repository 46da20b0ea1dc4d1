"""MME: two yes/no questions about every image, one of each answer, scored alone and as a pair.

Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models" (2023),
section 2.2, and its evaluation code for what counts as a yes or a no. Always saying yes is right
half the time; of pairs it gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tierexp.scores.exact_match import normalise_answer

_READ = 4
"""Letters the official code looks at."""


@dataclass(frozen=True)
class MmeScore:
    """What one of MME's subtasks reaches.

    Args:
        accuracy: Share of questions that are right, in [0, 1].
        accuracy_plus: Share of images both of whose questions are right, in [0, 1].
    """

    accuracy: float
    accuracy_plus: float

    @property
    def score(self) -> float:
        """The published figure, in [0, 200]: the two in percent, added up."""
        return 100 * (self.accuracy + self.accuracy_plus)


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
