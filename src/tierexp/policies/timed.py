"""Times from fewer questions than were answered: timing takes one at a time, answering does not.

In: a folder of timed results at the same points. Out: a sweep whose costs in time and operations
are predicted from it, or a router's file with its times scaled to this machine. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tierexp.config.checks import path
from tierexp.errors import ConfigError
from tierexp.policies.costs import Unit, shared_flops
from tierexp.policies.latency_model import fit_cost_model, recalibrated, timed_units
from tierexp.policies.policy_file import PolicyFile, data_identity
from tierexp.policies.settings import PolicySettings, RouterSettings
from tierexp.policies.sweep import Sweep, read_sweep


def read_timed(
    key: str, folder: object, points: Sequence[str], model: str | None, data: Mapping[str, str]
) -> Sweep:
    """Results of `latency=on` that tell how long answers take.

    Args:
        key: Key of the configuration that names the folder.
        folder: As configured.
        points: That must have been timed.
        model: Whose times they must be.
        data: The data set, as `data_identity` has it; any split and number of questions will do.

    Raises:
        ConfigError: Another model or data set, a point that is missing, or nothing was timed.
        DataError: See `read_sweep`.
    """
    sweep = read_sweep(path(key, folder))
    if sweep.model != model:
        allowed = f"timed results of the model {model}; these are of {sweep.model}"
        raise ConfigError(key, folder, allowed)
    if data_identity(sweep.config, sweep.dataset) != data:
        allowed = f"timed results of the same data set; these are of {sweep.dataset}"
        raise ConfigError(key, folder, allowed)
    for name in points:
        if name not in sweep.points:
            held = ", ".join(sweep.points)
            raise ConfigError(key, folder, f"timed results of {name}, too; it holds {held}")
    sweep = sweep.choose(points)
    if "latency_ms" not in timed_units(sweep):
        raise ConfigError(key, folder, "results of latency=on: these were not timed")
    return sweep


def with_predicted_costs(sweep: Sweep, timed: Sweep) -> Sweep:
    """A sweep with the costs in time and operations that it lacks.

    Args:
        sweep: Any questions at the points.
        timed: See `read_timed`.
    """
    costs, shared = dict(sweep.costs), dict(sweep.shared)
    for unit in timed_units(timed):
        if unit in costs:
            continue
        vision, prefill, decode = fit_cost_model(timed, unit).stages(sweep.asked)
        costs[unit] = vision + prefill + decode
        shared[unit] = np.zeros_like(vision)  # nothing of the time, as in `shared_cost`
        if unit == "flops":
            selected: Unit = "selected_vision_tokens"
            shared[unit] = shared_flops(vision, sweep.shared[selected], sweep.cost(selected))
    return replace(sweep, costs=costs, shared=shared)


def on_this_machine(file: PolicyFile, settings: PolicySettings) -> PolicyFile:
    """A policy's file as it is, or with the times that `policy.timed` has measured.

    Args:
        file: File of the policy.
        settings: Settings of the policy.

    Raises:
        ConfigError: See `read_timed`; or the router was fitted without times.
    """
    if not isinstance(settings, RouterSettings) or settings.timed is None or file.router is None:
        return file
    models = file.router.cost_models
    if "latency_ms" not in models:
        allowed = "a router that was fitted with times: fit_policy.py timed=DIR"
        raise ConfigError("policy.timed", settings.timed, allowed)
    on = file.fitted_on
    timed = read_timed("policy.timed", settings.timed, file.points, on.model, on.data)
    here = models | {"latency_ms": recalibrated(models["latency_ms"], timed)}
    return replace(file, router=replace(file.router, cost_models=here))
