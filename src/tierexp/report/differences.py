"""What one run gains over another on the samples that both have, for all of them and by task.

In: two results. Out: paired differences with 95 % bootstrap intervals, images drawn as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tierexp.errors import DataError
from tierexp.results.intervals import Combined, Values, combined_interval, intervals
from tierexp.results.schema import EvaluationResults, SampleResult

OVERALL = "all"
"""Names the difference over all tasks together."""
_MANY_IMAGES = 50
"""With so many images of a task next to no draw of all images is without one of them."""
Pair = tuple[SampleResult, SampleResult]


@dataclass(frozen=True)
class Difference:
    """What the second run gains.

    Args:
        before: Accuracy of the first run.
        after: Accuracy of the second.
        difference: after - before.
        low: Lower end of its interval.
        high: Upper end.
        gained: How many samples score higher in the second run.
        lost: How many score lower.
        num_samples: That both have.
        num_images: That these are about.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    num_samples: int
    num_images: int


def differences(before: EvaluationResults, after: EvaluationResults) -> dict[str, Difference]:
    """Paired differences by task, `all` first.

    Args:
        before: The run to compare with.
        after: The other one.

    Raises:
        DataError: The runs share no sample.
    """
    known = {sample.sample_id: sample for sample in before.per_sample_results}
    pairs = [(known[s.sample_id], s) for s in after.per_sample_results if s.sample_id in known]
    if not pairs:
        raise DataError("the runs share no sample: there is nothing to compare")
    by_task: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_task.setdefault(pair[0].task, []).append(pair)
    found = _intervals(pairs, by_task)
    return {
        OVERALL: _difference(pairs, found[OVERALL]),
        **{task: _difference(by_task[task], found[task]) for task in sorted(by_task)},
    }


def _intervals(
    pairs: Sequence[Pair], by_task: dict[str, list[Pair]]
) -> dict[str, tuple[float, float]]:
    """Differences in everything and in every task with images enough, from one set of draws."""
    first, second = _scores(pairs)
    images = [pair[0].image_key for pair in pairs]
    tasks = np.array([pair[0].task for pair in pairs])
    found: dict[str, tuple[float, float]] = {}
    together: dict[str, Combined] = {OVERALL: Combined([first, second], _gain)}
    for task, of_task in by_task.items():
        of_images = [pair[0].image_key for pair in of_task]
        if len(set(of_images)) >= _MANY_IMAGES:
            here = (tasks == task).astype(np.float64)
            together[task] = Combined([(second - first) * here, here], np.divide)
        else:
            found[task] = combined_interval(_scores(of_task), of_images, _gain)
    return found | dict(zip(together, intervals(list(together.values()), images), strict=True))


def _gain(before: Values, after: Values) -> Values:
    return after - before


def _scores(pairs: Sequence[Pair]) -> tuple[Values, Values]:
    return (
        np.array([pair[0].accuracy for pair in pairs], np.float64),
        np.array([pair[1].accuracy for pair in pairs], np.float64),
    )


def _difference(pairs: Sequence[Pair], interval: tuple[float, float]) -> Difference:
    first, second = _scores(pairs)
    return Difference(
        before=float(first.mean()),
        after=float(second.mean()),
        difference=float((second - first).mean()),
        low=interval[0],
        high=interval[1],
        gained=int((second > first).sum()),
        lost=int((second < first).sum()),
        num_samples=len(pairs),
        num_images=len({pair[0].image_key for pair in pairs}),
    )
