"""The targets that one run meets or misses: distortion and utilization.

In: the samples of a run. Out: checks. Targets are those of the design, the same for every tier and
every baseline; some are missed on real images, and no definition is bent for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tierexp.results.bootstrap import Values, mean_interval, quantile_interval
from tierexp.results.targets.check import Check

if TYPE_CHECKING:
    from tierexp.results.schema import SampleResult

MISMATCH_MEAN, MISMATCH_P95, MISMATCH_P99 = 0.2, 0.4, 0.6
UTILIZATION_MEAN, UTILIZATION_P5 = 0.95, 0.90


def check_run(samples: Sequence[SampleResult]) -> tuple[Check, ...]:
    """The checks of one run; none without samples.

    Args:
        samples: Of one tier. Utilization is checked where images fill their canvas: padding wastes
            tokens by design.
    """
    if not samples:
        return ()
    images = [sample.image_key for sample in samples]
    mismatch = np.array([sample.aspect_ratio_mismatch for sample in samples])
    utilization = np.array([sample.utilization for sample in samples])

    def check(
        name: str, values: Values, quantile: float | None, target: float, *, above: bool
    ) -> Check:
        if quantile is None:
            figure, interval = values.mean(), mean_interval(values, images)
        else:
            figure = np.quantile(values, quantile)
            interval = quantile_interval(values, images, quantile)
        count, distinct = len(samples), len(set(images))
        return Check(name, float(figure), interval, target, above, count, distinct)

    checks = [
        check("mismatch_mean", mismatch, None, MISMATCH_MEAN, above=False),
        check("mismatch_p95", mismatch, 0.95, MISMATCH_P95, above=False),
        check("mismatch_p99", mismatch, 0.99, MISMATCH_P99, above=False),
    ]
    if all(sample.resize_to_fill for sample in samples):
        checks += [
            check("utilization_mean", utilization, None, UTILIZATION_MEAN, above=True),
            check("utilization_p5", utilization, 0.05, UTILIZATION_P5, above=True),
        ]
    return tuple(checks)
