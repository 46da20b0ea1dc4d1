"""Why a router sent a question where it did.

In: a router and what it decided. Out: a few questions, and for each the features that decided most:
those without which, put to what is usual at every point, the dearest point would have looked least
(or most) worth its cost. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.policies.router import Router
from tierexp.policies.sweep import Sweep

EACH = 3
"""Questions that are shown as sent up, and as sent down."""
REASONS = 2


@dataclass(frozen=True)
class Reason:
    """One feature.

    Args:
        feature: Its name.
        value: Value of this question at the point it was sent to.
        usual: The median over all questions at that point.
        effect: By how much it raises the chance that the dearest point gains over the cheapest.
    """

    feature: str
    value: float
    usual: float
    effect: float


@dataclass(frozen=True)
class Example:
    """One question.

    Args:
        sample_id: Its name.
        question: Its words.
        point: It was sent to.
        chances: Chances of a right answer, by point.
        reasons: The strongest first.
    """

    sample_id: str
    question: str
    point: str
    chances: dict[str, float]
    reasons: tuple[Reason, ...]


def routed_examples(router: Router, sweep: Sweep, final: NDArray[np.int64]) -> tuple[Example, ...]:
    """The questions sent to the dearest point with the most to gain there, and those sent to the
    cheapest with the least.

    Args:
        router: That decided.
        sweep: The questions.
        final: (N,) the points it decided on.
    """
    chances = router.chances(sweep.asked)
    gain = chances[:, -1] - chances[:, 0]
    dearest, cheapest = len(sweep.points) - 1, 0
    up = [n for n in np.argsort(-gain, kind="stable") if final[n] == dearest][:EACH]
    down = [n for n in np.argsort(gain, kind="stable") if final[n] == cheapest][:EACH]
    table = router.features(sweep.asked)
    usual = np.median(table, axis=0)  # (P, F)
    examples = []
    for row in (*up, *down):
        upwards = 1 if final[row] == dearest else -1
        reasons = sorted(
            _reasons(router, table[row], usual, float(gain[row]), int(final[row])),
            key=lambda reason: -upwards * reason.effect,
        )
        examples.append(
            Example(
                sweep.sample_ids[row],
                sweep.questions[row],
                sweep.points[int(final[row])],
                {name: float(c) for name, c in zip(sweep.points, chances[row], strict=True)},
                tuple(reasons[:REASONS]),
            )
        )
    return tuple(examples)


def _reasons(
    router: Router,
    features: NDArray[np.float64],
    usual: NDArray[np.float64],
    gain: float,
    point: int,
) -> list[Reason]:
    """Effects of every feature but the point's number; `features` and `usual` are (P, F)."""
    names = router.parameters.space.names
    columns = [
        column
        for column, name in enumerate(names)
        if name != "point" and not np.array_equal(features[:, column], usual[:, column])
    ]
    without = np.repeat(features[None], len(columns), axis=0)  # (C, P, F)
    for row, column in enumerate(columns):
        without[row, :, column] = usual[:, column]
    rows = without.reshape(-1, features.shape[1])
    chances = router.parameters.chance.predict(rows).reshape(without.shape[:2])
    return [
        Reason(
            names[column],
            float(features[point, column]),
            float(usual[point, column]),
            gain - float(chances[row, -1] - chances[row, 0]),
        )
        for row, column in enumerate(columns)
    ]
