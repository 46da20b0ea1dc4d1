"""What an answer costs, in the unit a budget is given in.

In: what was measured of a sample at a point. Out: its cost, and the part of it that a second pass
over the same image need not pay again. Imports no torch.

A pass that follows another encodes the global view no more: the view, and so its encoding, is the
same at every tier. An evaluation keeps it from pass to pass where the model can; where it cannot,
the evaluation's record counts what it ran. The language model reads its tokens again. So
`selected_vision_tokens` and `flops` are shared in part, `llm_vision_tokens` is not; nor is
`latency_ms` in a replay, as the vision stage is timed as a whole.
"""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config.checks import choice, number
from tierexp.errors import ConfigError
from tierexp.results.older import OlderSample
from tierexp.results.schema import SampleResult

_Counts = TypeVar("_Counts", float, NDArray[np.float64])

Unit = Literal["llm_vision_tokens", "selected_vision_tokens", "flops", "latency_ms"]
UNITS: tuple[Unit, ...] = get_args(Unit)


def column(sample: SampleResult | OlderSample, name: str) -> float | None:
    """A number of a sample by its name in results; None where they do not say."""
    value = sample.metrics.get(name) if isinstance(sample, SampleResult) else None
    value = getattr(sample, name, None) if value is None else value
    return float(value) if isinstance(value, int | float) else None


def sample_cost(sample: SampleResult | OlderSample, unit: Unit) -> float | None:
    """What one pass costs; None where the results do not say.

    Args:
        sample: Sample of a results file.
        unit: `flops` and `latency_ms` need results that were timed, `latency=on`.
    """
    if unit in ("llm_vision_tokens", "selected_vision_tokens"):
        return column(sample, unit)
    if isinstance(sample, OlderSample):
        return sample.times.get("T_total") if unit == "latency_ms" else None
    if sample.latency is None:
        return None
    timed = sample.latency
    if unit == "latency_ms":
        return timed.T_total
    stages = (timed.flops_vision, timed.flops_prefill, timed.flops_decode)
    known = [count for count in stages if count is not None]
    return float(sum(known)) if len(known) == len(stages) else None


def answer_cost(sample: SampleResult, unit: Unit) -> float | None:
    """What an answer of a run has cost with all passes before it, as it was run.

    Args:
        sample: Sample of a results file.
        unit: As in `sample_cost`.
    """
    last = sample_cost(sample, unit)
    if last is None or unit in ("flops", "latency_ms"):
        return last  # times are of all passes already
    before: list[int] = [getattr(one, unit) for one in sample.earlier_passes]
    reused = sample.reused_vision_tokens if unit == "selected_vision_tokens" else 0
    return last + sum(before) - reused


def shared_cost(sample: SampleResult | OlderSample, unit: Unit) -> float:
    """The part of a pass's cost that it shares with an earlier pass over the same image."""
    if isinstance(sample, OlderSample):
        return 0.0
    selected = column(sample, "selected_vision_tokens") or 0.0
    view = _view_tokens(sample, selected)
    if unit == "selected_vision_tokens":
        return view
    if unit == "flops" and sample.latency is not None and sample.latency.flops_vision is not None:
        flops = float(sample.latency.flops_vision)
        return shared_flops(flops, view, selected) if selected else 0.0
    return 0.0


def shared_flops(vision: _Counts, view: _Counts, selected: _Counts) -> _Counts:
    """The operations of a vision stage that are the global view's: its share of the tokens.

    Args:
        vision: Operations of the stage, of one sample or of many.
        view: Tokens of the view.
        selected: All tokens that were encoded, above 0.
    """
    return vision * view / selected


def _view_tokens(sample: SampleResult, selected: float) -> float:
    """The budget's part that is the global view: what is not the crops', of which their used tokens
    and the share of those are recorded; 0 where there is no view, or nobody says.
    """
    used, utilization = column(sample, "actual_crop_tokens"), column(sample, "crop_utilization")
    return selected - round(used / utilization) if used and utilization else 0.0


def parse_budget(budget: object, dearest: float) -> float:
    """A budget as it is written: a number, or `0.6x`, that share of the dearest point's mean cost.

    Args:
        budget: As configured.
        dearest: The mean cost of the dearest point.

    Raises:
        ConfigError: It is neither.
    """
    allowed = "a mean cost per question above 0, or a share of the dearest point such as 0.6x"
    value: object = budget
    share = isinstance(budget, str) and budget.strip().endswith("x")
    if isinstance(budget, str):
        try:
            value = float(budget.strip().removesuffix("x"))
        except ValueError:
            raise ConfigError("policy.budget", budget, allowed) from None
    try:
        amount = number("policy.budget", value, 0)
    except ConfigError:
        raise ConfigError("policy.budget", budget, allowed) from None
    if amount == 0:
        raise ConfigError("policy.budget", budget, allowed)
    return amount * dearest if share else amount


def check_unit(unit: object) -> Unit:
    """A unit by its name.

    Raises:
        ConfigError: There is no such unit.
    """
    choice("policy.unit", unit, UNITS)
    return unit  # type: ignore[return-value]
