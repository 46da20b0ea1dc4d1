"""The targets that one run meets or misses: distortion and utilization.

In: the samples of a run. Out: checks. Targets are those of the design, the same for every tier and
every baseline; some are missed on real images, and no definition is bent for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tierexp.results.check import Check
from tierexp.results.intervals import Quantile, intervals, mean_of
from tierexp.results.schema import SampleResult

MISMATCH_MEAN, MISMATCH_P95, MISMATCH_P99 = 0.2, 0.4, 0.6
UTILIZATION_MEAN, UTILIZATION_P5 = 0.95, 0.90


class _Target(NamedTuple):
    name: str
    column: str
    quantile: float | None
    bound: float
    above: bool


_MISMATCH = (
    _Target("mismatch_mean", "aspect_ratio_mismatch", None, MISMATCH_MEAN, False),
    _Target("mismatch_p95", "aspect_ratio_mismatch", 0.95, MISMATCH_P95, False),
    _Target("mismatch_p99", "aspect_ratio_mismatch", 0.99, MISMATCH_P99, False),
)
_UTILIZATION = (
    _Target("utilization_mean", "utilization", None, UTILIZATION_MEAN, True),
    _Target("utilization_p5", "utilization", 0.05, UTILIZATION_P5, True),
)


def check_run(samples: Sequence[SampleResult]) -> tuple[Check, ...]:
    """The checks of one run; none without samples.

    Args:
        samples: Samples of one tier. Utilization is checked where images fill their canvas: padding
            wastes tokens by design.
    """
    if not samples:
        return ()
    filled = all(sample.resize_to_fill for sample in samples)
    targets = _MISMATCH + (_UTILIZATION if filled else ())
    images = [sample.image_key for sample in samples]
    columns = {
        name: np.array([sample.number(name) for sample in samples])
        for name in dict.fromkeys(target.column for target in targets)
    }
    found = intervals(
        [
            mean_of(columns[target.column])
            if target.quantile is None
            else Quantile(columns[target.column], target.quantile)
            for target in targets
        ],
        images,
    )
    count, distinct = len(samples), len(set(images))
    checks = []
    for target, interval in zip(targets, found, strict=True):
        values, quantile = columns[target.column], target.quantile
        figure = values.mean() if quantile is None else np.quantile(values, quantile)
        checks.append(
            Check(target.name, float(figure), interval, target.bound, target.above, count, distinct)
        )
    return tuple(checks)
