"""The columns of one run: those of every run, and the user's, tried out before it begins.

In: what the group `metric` has built. Out: all columns, or one line about one that cannot be.
Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tierexp.errors import ConfigError
from tierexp.imaging.measurements import ImageMeasurements, OneImage
from tierexp.results.metrics import (
    BUILT_IN,
    Answer,
    AnswerMetric,
    AnyMetric,
    ImageMetric,
    number,
)
from tierexp.results.schema import RUN, SampleResult

_AN_IMAGE: OneImage = ImageMeasurements(
    height=480, width=640, rows=2, cols=3, crops=6, mismatch=0.0652, selected_vision_tokens=1008,
    selected_crop_tokens=864, actual_vision_tokens=972, actual_crop_tokens=864,
    llm_vision_tokens=704, unreduced_vision_tokens=704, content_kept=0.889, padding_fraction=0.0,
)  # fmt: skip
"""To try metrics out on: 640 x 480 pixels at the medium tier."""


def combined(own: Iterable[AnyMetric]) -> tuple[AnyMetric, ...]:
    """The columns of a run: those of every run, then the user's.

    Args:
        own: The user's.

    Raises:
        ConfigError: Two of one name, a name that results use for something else, no metric, or
            one that cannot measure.
    """
    metrics = list(BUILT_IN)
    taken = {field.name for field in dataclasses.fields(SampleResult)} | {RUN}
    for metric in own:
        given: object = metric  # whatever an option of a configuration has built
        if not isinstance(given, ImageMetric | AnswerMetric):
            allowed = "an ImageMetric or an AnswerMetric of tierexp.results.metrics"
            raise ConfigError("metric", given, allowed)
        if metric.name in taken or metric.name in {known.name for known in metrics}:
            raise ConfigError("metric.name", metric.name, "a name that no column has yet")
        _try_out(metric)
        metrics.append(metric)
    return tuple(metrics)


def _try_out(metric: AnyMetric) -> None:
    """Measure something, before a run begins.

    Raises:
        ConfigError: That ends with an exception, or with something else than a number.
    """
    try:
        if isinstance(metric, ImageMetric):
            value = metric.measure(_AN_IMAGE)
        else:
            value = metric.measure(Answer("a cat", ("a cat",), 1.0))
    except Exception as error:
        reason = f"a function that measures; this one ends with {type(error).__name__}: {error}"
        raise ConfigError(f"metric.{metric.name}.measure", metric.measure, reason) from error
    number(metric, value)
