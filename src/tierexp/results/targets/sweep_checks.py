"""The targets that runs meet or miss together: what more tokens buy, and what tiers spare.

In: the results of some crop policies on the same samples. Out: checks, always of the samples that
both runs of a pair have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from tierexp.results.check import Check
from tierexp.results.columns import column, numbers, shared_places
from tierexp.results.intervals import Values, combined_interval
from tierexp.results.schema import EvaluationResults, SampleResult

TIERS = ("low", "medium", "high")
ACCURACY_STEP = 0.01
MISMATCH_REDUCTION = 0.48


def check_sweep(runs: Sequence[EvaluationResults]) -> tuple[Check, ...]:
    """The checks that these runs allow.

    Args:
        runs: Alike in all but the crop policy, one for each.
    """
    by_tier = {run.tier: run for run in runs}
    tiers = [by_tier[name] for name in TIERS if name in by_tier]
    checks = [
        _paired(f"accuracy_{low.tier}_to_{high.tier}", low, high, _accuracy, _gain, ACCURACY_STEP)
        for low, high in pairwise(tiers)
        if TIERS.index(high.tier) == TIERS.index(low.tier) + 1
    ]
    checks += [
        _paired(
            f"mismatch_reduction_{fixed.tier}_to_{tier.tier}",
            fixed, tier, raw_mismatch, _reduction, MISMATCH_REDUCTION,
        )
        for tier in tiers
        for fixed in runs
        if _is_choice_of(fixed, tier)
    ]  # fmt: skip
    return tuple(check for check in checks if check is not None)


def raw_mismatch(samples: Sequence[SampleResult]) -> Values:
    """|cols / rows - width / height|, (n,): the aspects themselves, no margins subtracted."""
    rows, cols = np.array(column(samples, "selected_tiling"), np.float64).T
    mismatch: Values = np.abs(cols / rows - numbers(samples, "original_aspect_ratio"))
    return mismatch


def _accuracy(samples: Sequence[SampleResult]) -> Values:
    return numbers(samples, "accuracy")


def _gain(before: Values, after: Values) -> Values:
    return after - before


def _reduction(before: Values, after: Values) -> Values:
    # Where a baseline misses nothing there is nothing to spare.
    return np.where(before > 0, 1 - after / np.where(before > 0, before, 1), 0.0)


def _is_choice_of(fixed: EvaluationResults, tier: EvaluationResults) -> bool:
    """Whether a run has one crop count for all images, and the tier could have chosen it."""
    count = fixed.tier_range.min_crops
    within = tier.tier_range.min_crops <= count <= tier.tier_range.max_crops
    return within and count == fixed.tier_range.max_crops


def _paired(
    name: str,
    before: EvaluationResults,
    after: EvaluationResults,
    value: Callable[[Sequence[SampleResult]], Values],
    combine: Callable[[Values, Values], Values],
    target: float,
) -> Check | None:
    """The check of a figure of two runs; None where they share no sample."""
    first, second = shared_places(before.per_sample_results, after.per_sample_results)
    if not len(first):
        return None
    every = column(before.per_sample_results, "image_key")
    images = [every[place] for place in first]
    columns = [
        value(run.per_sample_results)[places] for run, places in ((before, first), (after, second))
    ]
    figure = combine(*(np.array([column.mean()]) for column in columns))
    interval = combined_interval(columns, images, combine)
    return Check(name, float(figure[0]), interval, target, True, len(images), len(set(images)))
