"""RealWorldQA: options as in `multiple_choice`, short answers word for word.

xAI (2024). Molmo's evaluation compares short answers after the processing of VQA, so that `two` is
`2`; its choice of the nearest letter, whatever was said, is not followed.
"""

from __future__ import annotations

from collections.abc import Sequence

from tierexp.data.scores.multiple_choice import is_parsed as choice_is_parsed
from tierexp.data.scores.multiple_choice import multiple_choice
from tierexp.data.scores.vqa import normalise_vqa


def real_world_qa(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> float:
    """1.0 where the prediction is right, else 0.0.

    Args:
        prediction: What the model said.
        answers: The right option's letter where there are options, else every accepted answer.
        options: The texts that A, B, ... stand for; none of a question with a short answer.
    """
    if options:
        return multiple_choice(prediction, answers, options)
    said = normalise_vqa(prediction)
    return float(bool(said) and any(said == normalise_vqa(answer) for answer in answers))


def is_parsed(prediction: str, answers: Sequence[str], options: Sequence[str] = ()) -> bool:
    """Whether a prediction says what it chooses; a short answer can be any text.

    Args:
        prediction: What the model said.
        answers: As for `real_world_qa`.
        options: As for `real_world_qa`.
    """
    return not options or choice_is_parsed(prediction, answers, options)
