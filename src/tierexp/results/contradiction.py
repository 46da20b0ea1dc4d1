"""Whether results contradict themselves: aggregates that do not follow from the samples.

In: results as they were read. Out: what is wrong, in words. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tierexp.results.aggregate import aggregate
from tierexp.results.schema import EvaluationResults, RunFacts

_NOT_OF_SAMPLES = ("samples_per_second", "latency", "provenance", "per_sample_results", "failures")
_PRECISION = 1e-9
"""Relative: another machine, or another numpy, may add in another order."""


def contradiction_in(results: EvaluationResults) -> str | None:
    """The first aggregate that does not follow from the samples, in words; None where all do.

    Args:
        results: Results of a complete run.
    """
    names = [field.name for field in dataclasses.fields(RunFacts)]
    facts = RunFacts(**{name: getattr(results, name) for name in names})
    expected = aggregate(
        results.per_sample_results, results.failures, facts, None, results.provenance
    )
    different = _difference("", _aggregates(results), _aggregates(expected))
    if different is not None:
        return different
    latency, timed = results.latency, [s.latency is not None for s in results.per_sample_results]
    if latency is not None and latency.num_samples != sum(timed):
        return f"its latency is of {latency.num_samples} samples, {sum(timed)} were timed"
    return None


def _aggregates(results: EvaluationResults) -> dict[str, Any]:
    values = dataclasses.asdict(results)
    return {name: value for name, value in values.items() if name not in _NOT_OF_SAMPLES}


def _difference(name: str, found: Any, expected: Any) -> str | None:
    """The first value that differs, and how; None where none does."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        below = (_difference(str(key), found[key], expected[key]) for key in expected)
        return next((different for different in below if different is not None), None)
    if _same(found, expected):
        return None
    return f"its {name} is {found}, its samples give {expected}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_PRECISION, abs_tol=_PRECISION)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
