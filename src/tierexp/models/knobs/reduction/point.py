"""The reduction of an operating point, and the model's source at it.

In: a point of a policy. Out: which vision tokens its answers keep. Imports no torch.
"""

from __future__ import annotations

from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.reduction.settings import (
    NO_REDUCTION,
    Reduction,
    Sizes,
    reduction_written,
    with_reduction,
)
from tierexp.models.protocol import ModelSource
from tierexp.tiers.policy import OperatingPoint

KEY = "reduction"
"""The key among a point's settings, beside those of knobs."""


def reduction_of(point: OperatingPoint, otherwise: Reduction = NO_REDUCTION) -> Reduction:
    """What a point keeps.

    Args:
        point: Point of a policy.
        otherwise: Where it does not say.

    Raises:
        ConfigError: It names no reduction.
    """
    if KEY not in point.knobs:
        return otherwise
    return reduction_written(str(point.knobs[KEY]))


def at_point(
    source: ModelSource,
    point: OperatingPoint,
    otherwise: Reduction,
    sizes: Sizes,
    preprocessing: Preprocessing,
) -> tuple[ModelSource, Reduction]:
    """(source, reduction) at a point, checked against the images.

    Args:
        source: Source of the run.
        point: Point of its policy.
        otherwise: The run's reduction, which counts where the point does not say.
        sizes: Gives (height, width) of every image.
        preprocessing: Preprocessing of the run, its tier the point's.

    Raises:
        ConfigError: The model cannot be set so, or an image has too few tokens.
    """
    knobs = {key: value for key, value in point.knobs.items() if key != KEY}
    reduction = reduction_of(point, otherwise).settled(sizes, preprocessing)
    return with_reduction(source.with_knobs(knobs), reduction), reduction
