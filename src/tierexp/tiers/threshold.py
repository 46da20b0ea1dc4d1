"""When a tier's preferred crop counts are good enough, and by which metric.

In: numbers from a YAML file of `conf/threshold`. Out: a frozen, validated dataclass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from tierexp.config.checks import choice
from tierexp.errors import ConfigError

Metric = Literal["absolute", "log_ratio", "content_loss"]


@dataclass(frozen=True)
class Threshold:
    """When the preferred crop counts are good enough to leave the others unconsidered.

    Args:
        value: They are when their best mismatch is below this; None sets no limit, so that the
            others never are considered; 0 always considers them.
        metric: What a selection minimises and `value` is measured in: `absolute` |Δ aspect|,
            `log_ratio` |ln of the aspects' quotient|, or `content_loss`, the fraction of the
            image's area that filling the canvas crops away.

    Raises:
        ConfigError: A negative value, not a number, or an unknown metric.
    """

    value: float | None = 0.3
    metric: Metric = "absolute"

    def __post_init__(self) -> None:
        choice("threshold.metric", self.metric, get_args(Metric))
        if self.value is None:
            return
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not (math.isfinite(self.value) and self.value >= 0):
            raise ConfigError(
                "threshold.value", self.value, "a finite number >= 0, or null for no limit"
            )
