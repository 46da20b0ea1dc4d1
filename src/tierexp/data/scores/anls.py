"""ANLS: how close the spelling comes, for text read off an image.

Biten et al., "Scene Text Visual Question Answering" (ICCV 2019), equation 1, and the rules of its
challenge: answers are not case sensitive, but space sensitive. The mean over questions, which makes
it the *average* normalised Levenshtein similarity, is the metric's.
"""

from __future__ import annotations

from collections.abc import Sequence

THRESHOLD = 0.5
"""Normalised distances from here on mean that something else was read."""


def levenshtein(left: str, right: str) -> int:
    """The fewest insertions, deletions and replacements of a letter from one text to the other."""
    previous = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        current = [row]
        for column, other in enumerate(right, start=1):
            current.append(
                min(
                    previous[column] + 1,
                    current[column - 1] + 1,
                    previous[column - 1] + (letter != other),
                )
            )
        previous = current
    return previous[-1]


def anls(prediction: str, answers: Sequence[str]) -> float:
    """The best over answers of 1 - NL where NL < 0.5, else 0.

    NL is the Levenshtein distance over the length of the longer text, both in lower case with runs
    of white space as one space. At NL = 0.5 exactly the paper's 0 is given; the challenge's server
    gives 0.5 there. A prediction of nothing but white space is never right.

    Args:
        prediction: What the model said.
        answers: Every accepted answer.

    Returns:
        In [0, 1].
    """
    return max((_similarity(prediction, answer) for answer in answers), default=0.0)


def _similarity(prediction: str, answer: str) -> float:
    said, right = (" ".join(text.lower().split()) for text in (prediction, answer))
    if not said:
        return 0.0
    distance = levenshtein(said, right) / max(len(said), len(right))
    return 1 - distance if distance < THRESHOLD else 0.0
