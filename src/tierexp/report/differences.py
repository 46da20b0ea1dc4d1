"""What one run gains over another on the samples that both have, for all of them and by task.

In: two results. Out: paired differences with 95 % bootstrap intervals, images drawn as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.results.columns import column, numbers, shared_places
from tierexp.results.intervals import Combined, Values, combined_interval, intervals
from tierexp.results.schema import EvaluationResults, SampleResult

OVERALL = "all"
"""Names the difference over all tasks together."""
_MANY_IMAGES = 50
"""With so many images of a task next to no draw of all images is without one of them."""


class _Pairs(NamedTuple):
    """The n samples that two runs both have: accuracies (n,), images and tasks."""

    first: Values
    second: Values
    images: NDArray[np.object_]
    tasks: NDArray[np.object_]

    def some(self, here: NDArray[np.bool_]) -> _Pairs:
        """Those where it says so."""
        return _Pairs(self.first[here], self.second[here], self.images[here], self.tasks[here])


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
    pairs = _paired(before.per_sample_results, after.per_sample_results)
    if not len(pairs.first):
        raise DataError("the runs share no sample: there is nothing to compare")
    by_task = {task: pairs.some(pairs.tasks == task) for task in sorted(set(pairs.tasks))}
    found = _intervals(pairs, by_task)
    return {
        OVERALL: _difference(pairs, found[OVERALL]),
        **{task: _difference(by_task[task], found[task]) for task in by_task},
    }


def _paired(before: Sequence[SampleResult], after: Sequence[SampleResult]) -> _Pairs:
    of_second, of_first = shared_places(after, before)  # in the second run's order
    return _Pairs(
        numbers(before, "accuracy")[of_first],
        numbers(after, "accuracy")[of_second],
        np.array(column(before, "image_key"), object)[of_first],
        np.array(column(before, "task"), object)[of_first],
    )


def _intervals(pairs: _Pairs, by_task: dict[str, _Pairs]) -> dict[str, tuple[float, float]]:
    """Intervals of all and of every task, from one set of draws where a task has images enough."""
    first, second = pairs.first, pairs.second
    found: dict[str, tuple[float, float]] = {}
    together: dict[str, Combined] = {OVERALL: Combined([first, second], _gain)}
    for task, some in by_task.items():
        if len(set(some.images)) >= _MANY_IMAGES:
            here = (pairs.tasks == task).astype(np.float64)
            together[task] = Combined([(second - first) * here, here], np.divide)
        else:
            found[task] = combined_interval([some.first, some.second], list(some.images), _gain)
    drawn = intervals(list(together.values()), list(pairs.images))
    return found | dict(zip(together, drawn, strict=True))


def _gain(before: Values, after: Values) -> Values:
    return after - before


def _difference(pairs: _Pairs, interval: tuple[float, float]) -> Difference:
    first, second = pairs.first, pairs.second
    return Difference(
        before=float(first.mean()),
        after=float(second.mean()),
        difference=float((second - first).mean()),
        low=interval[0],
        high=interval[1],
        gained=int((second > first).sum()),
        lost=int((second < first).sum()),
        num_samples=len(first),
        num_images=len(set(pairs.images)),
    )
