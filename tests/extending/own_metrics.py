"""A user's own metrics: outside the package, named by an option file in a folder of theirs."""

from __future__ import annotations

from tierexp.imaging.measurements import AnyImages
from tierexp.results.metrics import Answer, AnswerMetric, AnyMetric


def megapixels(image: AnyImages) -> object:
    """Of one image, or of N: the formula is the same."""
    return image.height * image.width / 1e6


def answer_words() -> AnyMetric:
    """A metric that its function declares; an answer without words has none."""

    def words(answer: Answer) -> int | None:
        return len(answer.prediction.split()) or None

    return AnswerMetric("answer_words", "words", "Words of the prediction.", measure=words)


def negative(image: AnyImages) -> object:
    raise RuntimeError("no such sensor")


def wordy(image: AnyImages) -> object:
    return "large"


def nothing() -> object:
    return object()
