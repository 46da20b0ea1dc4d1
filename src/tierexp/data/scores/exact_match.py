"""Exact match: the answer word for word, but for what does not change its meaning."""

from __future__ import annotations

from collections.abc import Sequence


def normalise_answer(text: str) -> str:
    """An answer without what does not change its meaning: case, surrounding and repeated white
    space, and one period at the end.
    """
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction equals any of the answers once both are normalised, else 0.0.

    A prediction that normalises to nothing is never right.

    Args:
        prediction: What the model said.
        answers: Every accepted answer.
    """
    said = normalise_answer(prediction)
    return float(bool(said) and any(said == normalise_answer(answer) for answer in answers))
