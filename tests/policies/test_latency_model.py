"""The latency model: laws that are known are found again, stage by stage."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.policy_sweeps import sweep, write_sweep
from tierexp.errors import DataError
from tierexp.policies.latency_model import (
    RECALIBRATION_SAMPLES,
    fit_cost_model,
    held_out_errors,
    recalibrated,
)
from tierexp.policies.sweep import Sweep, read_sweep


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return read_sweep(write_sweep(tmp_path_factory.mktemp("timed"), images=10, timed=True))


def test_a_linear_law_is_found_again(timed: Sweep) -> None:
    """2 ms a view, 1 + 0.02 ms a token, 4 further tokens of 3 ms."""
    model = fit_cost_model(timed, "latency_ms")
    views = timed.tilings.prod(axis=2) + 1
    tokens = timed.cost("llm_vision_tokens")
    vision, prefill, decode = model.stages(timed.asked)
    assert vision == pytest.approx(2 * views, rel=1e-6)
    assert prefill == pytest.approx(1 + 0.02 * tokens, rel=1e-6)
    assert decode == pytest.approx(np.full(views.shape, 12.0), rel=1e-6)
    assert model.predict(timed.asked) == pytest.approx(timed.cost("latency_ms"), rel=1e-6)


@pytest.mark.parametrize("unit", ["latency_ms", "flops"])
def test_a_setting_that_was_held_out_is_predicted(timed: Sweep, unit: str) -> None:
    errors = held_out_errors(timed, unit)  # type: ignore[arg-type]
    assert [error.point for error in errors] == ["low", "medium", "high"]
    assert max(error.mean_absolute_percentage for error in errors) < 0.01
    assert all(error.p95_percentage >= 0 for error in errors)


def test_errors_are_percentages_of_what_was_measured(timed: Sweep) -> None:
    """Vision of one point takes twice the law's time: all else being known, that is the error."""
    stages = {name: times.copy() for name, times in timed.stages.items()}
    stages["T_vision_total"][:, 1] *= 2
    costs = dict(timed.costs)
    costs["latency_ms"] = sum(
        stages[name] for name in ("T_vision_total", "T_LLM_prefill", "T_LLM_decode")
    )
    slow = dataclasses.replace(timed, stages=stages, costs=costs)
    error = held_out_errors(slow, "latency_ms")[1]
    law, measured = timed.cost("latency_ms")[:, 1], costs["latency_ms"][:, 1]
    off = 100 * (1 - law / measured)
    assert error.mean_absolute_percentage == pytest.approx(off.mean(), rel=1e-3)
    assert error.p95_percentage == pytest.approx(np.percentile(off, 95), rel=1e-3)
    assert error.mean_percentage == pytest.approx(
        100 * (law.mean() / measured.mean() - 1), rel=1e-3
    )


def test_another_machine_takes_a_few_samples(timed: Sweep) -> None:
    factors = {"T_vision_total": 0.1, "T_LLM_prefill": 3.0, "T_LLM_decode": 0.5}
    stages = {name: times * factors.get(name, 1.0) for name, times in timed.stages.items()}
    there = dataclasses.replace(timed, stages=stages)
    few = there.select(np.arange(RECALIBRATION_SAMPLES))
    model = recalibrated(fit_cost_model(timed, "latency_ms"), few)
    for predicted, name in zip(model.stages(there.asked), factors, strict=True):
        assert predicted == pytest.approx(stages[name], rel=1e-6)
    again = recalibrated(model, few)
    assert again.scales == pytest.approx(model.scales)


def test_results_that_were_not_timed_are_refused() -> None:
    with pytest.raises(DataError, match="latency=on"):
        fit_cost_model(sweep(images=5), "latency_ms")


def test_two_points_leave_nothing_to_hold_out(timed: Sweep) -> None:
    assert held_out_errors(timed.choose(["low", "high"]), "latency_ms") == ()
