"""Prepared samples of one operating point and equal crop count become a batch."""

from __future__ import annotations

from collections.abc import Sequence

from tierexp.data.batch import EvaluationBatch, FailedSample
from tierexp.data.prepare import PreparedRow
from tierexp.models.protocol import InputBuilder


class Collate:
    """`collate_fn` of the evaluation's data loader.

    Args:
        builder: What makes the model's inputs.
    """

    def __init__(self, builder: InputBuilder) -> None:
        self._builder = builder

    def __call__(self, items: Sequence[PreparedRow | FailedSample]) -> EvaluationBatch:
        """Stack what could be prepared; what could not goes beside it."""
        rows = [item for item in items if isinstance(item, PreparedRow)]
        failures = tuple(item for item in items if isinstance(item, FailedSample))
        inputs = self._builder.collate([row.inputs for row in rows]) if rows else None
        return EvaluationBatch(inputs, tuple(row.prepared for row in rows), failures)
