"""Scores that a user might write."""

from __future__ import annotations

from collections.abc import Sequence

from tierexp.data.scores.registry import Score


def starts_alike(prediction: str, answers: Sequence[str]) -> float:
    return float(any(prediction[:1] == answer[:1] for answer in answers))


def knows_options(prediction: str, answers: Sequence[str], options: Sequence[str]) -> float:
    return float(prediction in options and prediction in answers)


def within(prediction: str, answers: Sequence[str], most: int = 0) -> float:
    return float(min(abs(len(prediction) - len(answer)) for answer in answers) <= most)


class Within:
    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, prediction: str, answers: Sequence[str]) -> float:
        return within(prediction, answers, self.most)


def in_percent(prediction: str, answers: Sequence[str]) -> float:
    return 100.0


def of_nothing(prediction: str, answers: Sequence[str]) -> None:
    return None


def broken(prediction: str, answers: Sequence[str]) -> float:
    return {}["no such key"]


def picky(prediction: str, answers: Sequence[str]) -> float:
    raise ValueError("answers in Latin")


def of_one(prediction: str) -> float:
    return 1.0


LONG = Score("long", lambda prediction, answers: 1.0, parses=lambda said, *_: len(said) > 3)
NOT_A_FUNCTION = 3
