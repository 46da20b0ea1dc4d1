"""Scores by the names that configurations and results call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tierexp.scores.anls import anls
from tierexp.scores.count import count
from tierexp.scores.exact_match import exact_match
from tierexp.scores.mme import mme
from tierexp.scores.multiple_choice import multiple_choice
from tierexp.scores.relaxed import relaxed
from tierexp.scores.vqa import vqa

Score = Callable[[str, Sequence[str]], float]
"""From a prediction and the answers of one question to how right it is, in [0, 1]; ValueError where
the score is not defined for such answers, whatever the prediction.
"""

SCORES: dict[str, Score] = {
    "exact_match": exact_match,
    "vqa": vqa,
    "anls": anls,
    "relaxed": relaxed,
    "multiple_choice": multiple_choice,
    "count": count,
    "mme": mme,
}

QUESTION_SCORES = tuple(name for name in SCORES if name != "mme")
"""Those whose mean over questions is the published figure. MME's needs both answers of an image:
`tierexp.scores.mme.add_up`, as a torchmetric `tierexp.scores.metric.MmePairs`.
"""
