"""Whether predicted chances are what comes true. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Answers whose predicted chance is alike.

    Args:
        predicted: Mean predicted chance.
        accuracy: Mean score.
        count: Answers.
    """

    predicted: float
    accuracy: float
    count: int


def calibration_curve(chances: Floats, accuracy: Floats) -> tuple[CalibrationBin, ...]:
    """Bins of equal width that hold an answer, of all questions at all points.

    Args:
        chances: (N, P) predicted.
        accuracy: (N, P) scores.
    """
    predicted, right = chances.reshape(-1), accuracy.reshape(-1)
    of_bin = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    return tuple(
        CalibrationBin(
            float(predicted[of_bin == number].mean()),
            float(right[of_bin == number].mean()),
            int((of_bin == number).sum()),
        )
        for number in range(BINS)
        if (of_bin == number).any()
    )


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Mean distance of chance and accuracy over the bins, weighted by their answers."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.predicted - b.accuracy) for b in bins) / total
