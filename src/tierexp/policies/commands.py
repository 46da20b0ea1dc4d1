"""`fit_policy.py` and `replay.py`: from configurations to files.

In: a composed configuration. Out: a policy file; or the frontier of a policy as JSON, a figure and
a table. Runs no model; imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import build, refuse_unknown_keys, resolved
from tierexp.config.checks import path, whole_number
from tierexp.errors import ConfigError
from tierexp.policies.calibration import CalibrationBin, calibration_curve
from tierexp.policies.cascade import Cascade, Chain, check_thresholds
from tierexp.policies.costs import Unit, parse_budget
from tierexp.policies.decision import Policy
from tierexp.policies.features import check_groups
from tierexp.policies.fitting import fit_policy
from tierexp.policies.live import LivePolicy
from tierexp.policies.oracle import Oracle
from tierexp.policies.packages import FITTING, require
from tierexp.policies.policy_file import (
    FittedName,
    PolicyFile,
    data_identity,
    matched,
    policy_of,
    read_policy,
    target_of,
    write_policy,
)
from tierexp.policies.reasons import Example, routed_examples
from tierexp.policies.replay import (
    Difference,
    Replayed,
    against_points,
    against_policy,
    area_won,
    budgets_between,
    check_budget,
    frontier,
    hull_of,
    replay,
)
from tierexp.policies.replay_results import FILE_NAME, SCHEMA_VERSION, ReplayResults
from tierexp.policies.router import Router
from tierexp.policies.settings import (
    CascadeSettings,
    FittedSettings,
    MixtureSettings,
    PolicySettings,
    RouterSettings,
    policy_path,
)
from tierexp.policies.static import Fixed
from tierexp.policies.summary import print_fit, print_replay
from tierexp.policies.sweep import Sweep, read_sweep
from tierexp.policies.timed import on_this_machine, read_timed, with_predicted_costs
from tierexp.results.files import write_results
from tierexp.results.policy_record import PolicyRecord

FIT_KEYS = ("policy", "results", "timed", "output_dir")
REPLAY_KEYS = ("policy", "results", "timed", "against", "budgets", "output_dir")


def fit(config: DictConfig, output_dir: Path) -> None:
    """Fit a policy and write its file.

    Args:
        config: As composed from `conf/fit_policy.yaml`.
        output_dir: Where the file goes.

    Raises:
        TierexpError: A setting or results that cannot work.
    """
    refuse_unknown_keys(config, FIT_KEYS)
    settings = _settings(config)
    if not isinstance(settings, FittedSettings):
        names = ", ".join(get_args(FittedName))
        raise ConfigError("policy", settings.name, f"one that is fitted: {names}")
    require(FITTING, settings.name)
    values = resolved(config)
    sweep = read_sweep(path("results", values["results"])).choose(settings.points)
    sweep, timed = _with_times(sweep, values["timed"])
    sweep.cost(settings.unit)
    router = settings if isinstance(settings, RouterSettings) else RouterSettings()
    if router.timed is not None:
        raise ConfigError("policy.timed", router.timed, "null; fitting takes times from timed=DIR")
    name: FittedName = settings.name  # type: ignore[assignment]
    file, chances = fit_policy(name, sweep, check_groups(router.features), router.boosting, timed)
    target = output_dir / f"{settings.name}.json"
    write_policy(file, target)
    print_fit(file, sweep, chances, target, Console())


def replay_policy(config: DictConfig, output_dir: Path) -> None:
    """Replay a policy; write `replay.json` and the figure, print a table.

    Args:
        config: As composed from `conf/replay.yaml`.
        output_dir: Where the files go.

    Raises:
        TierexpError: A setting, results or a policy file that cannot work.
    """
    refuse_unknown_keys(config, REPLAY_KEYS)
    settings, values = _settings(config), resolved(config)
    count = whole_number("budgets", values["budgets"], 2, 1000)
    file = _file_of(settings)
    sweep = read_sweep(path("results", values["results"]))
    sweep = sweep.choose(settings.points or (None if file is None else file.points))
    told = set(sweep.costs)
    sweep, timed = _with_times(sweep, values["timed"])
    unit = settings.unit
    budget = parse_budget(settings.budget, float(sweep.cost(unit).mean(axis=0).max()))
    check_budget(budget, settings.budget, sweep, unit)
    policy, notes = _policy(settings, file, sweep)
    if timed is not None and set(sweep.costs) > told:
        notes += (f"times and operations are predicted from {len(timed)} timed questions",)
    other, label = _against(values["against"], sweep, settings)
    budgets = budgets_between(sweep, unit, count)
    own = replay(policy, sweep, unit)
    results = ReplayResults(
        schema_version=SCHEMA_VERSION,
        kind="replay",
        dataset=sweep.dataset,
        model=sweep.model,
        num_samples=len(sweep),
        left_out=sweep.left_out,
        notes=notes,
        at_budget=frontier(own, [budget])[0],
        frontier=frontier(own, budgets),
        oracle=frontier(replay(Oracle(), sweep, unit), budgets),
        hull=hull_of(sweep, unit),
        points=_points(sweep, unit),
        area=area_won(own, budgets),
        against_points=against_points(own),
        against=_beside(own, other, label, budget),
        own_ms=policy.own_ms,
        calibration=_calibration(policy, sweep),
        examples=_examples(policy, own, budget),
        over_budget=_over_budget(own, budget),
    )
    write_results(results, output_dir / FILE_NAME)
    print_replay(results, _figure(results, output_dir), Console())


def _settings(config: DictConfig) -> PolicySettings:
    policy = build(config, "policy")
    if not isinstance(policy, LivePolicy):
        allowed = "router, cascade, lookup, mixture, or for a replay oracle"
        raise ConfigError("policy", getattr(policy, "name", policy), allowed)
    return policy.settings


def _file_of(settings: PolicySettings) -> PolicyFile | None:
    by_hand = isinstance(settings, CascadeSettings) and settings.thresholds is not None
    if not isinstance(settings, FittedSettings) or by_hand:
        return None
    return on_this_machine(read_policy(settings.path), settings)


def _with_times(sweep: Sweep, folder: object) -> tuple[Sweep, Sweep | None]:
    """A sweep with the costs that timed results predict, and those results."""
    if folder is None:
        return sweep, None
    data = data_identity(sweep.config, sweep.dataset)
    timed = read_timed("timed", folder, sweep.points, sweep.model, data)
    return with_predicted_costs(sweep, timed), timed


def _policy(
    settings: PolicySettings, file: PolicyFile | None, sweep: Sweep
) -> tuple[Policy, tuple[str, ...]]:
    if isinstance(settings, CascadeSettings) and settings.thresholds is not None:
        return _by_hand(settings, sweep), ()
    if file is None or not isinstance(settings, FittedSettings):
        return Oracle(), ()
    target = target_of(sweep)
    named = ("policy.file", settings.file)
    notes = matched(file, settings.name, target, named, settings.other_data)
    seed = settings.random_state if isinstance(settings, MixtureSettings) else 0
    return policy_of(file, sweep, seed), notes


def _by_hand(settings: CascadeSettings, sweep: Sweep) -> Cascade:
    thresholds = tuple(map(float, settings.thresholds or ()))
    if len(thresholds) != len(sweep.points) - 1:
        allowed = f"{len(sweep.points) - 1} of them, one fewer than the points"
        raise ConfigError("policy.thresholds", list(thresholds), allowed)
    chain = Chain(tuple(range(len(sweep.points))), thresholds)
    check_thresholds(chain, sweep)
    return Cascade({settings.unit: (chain,)})


def _against(file: object, sweep: Sweep, settings: PolicySettings) -> tuple[Policy | None, str]:
    if file is None:
        return None, ""
    where = policy_path("against", file)
    other = read_policy(where)
    anyway = isinstance(settings, FittedSettings) and settings.other_data
    matched(other, other.policy, target_of(sweep), ("against", str(file)), anyway)
    return policy_of(other, sweep), f"{other.policy} ({where.name})"


def _beside(
    own: Replayed, other: Policy | None, label: str, budget: float
) -> tuple[Difference, ...]:
    if other is None:
        return ()
    means = own.sweep.cost(own.unit).mean(axis=0)
    budgets = sorted({*map(float, means), budget})
    return against_policy(own, replay(other, own.sweep, own.unit), label, budgets)


def _points(sweep: Sweep, unit: Unit) -> tuple[PolicyRecord, ...]:
    found: list[PolicyRecord] = []
    for name in sweep.points:
        cost = float(sweep.cost(unit)[:, sweep.point(name)].mean())
        fixed = replay(Fixed(sweep.point(name), name), sweep, unit)
        found += frontier(fixed, [cost])
    return tuple(found)


def _calibration(policy: Policy, sweep: Sweep) -> tuple[CalibrationBin, ...]:
    if not isinstance(policy, Router):
        return ()
    return calibration_curve(policy.chances(sweep.asked), sweep.accuracy)


def _examples(policy: Policy, own: Replayed, budget: float) -> tuple[Example, ...]:
    if not isinstance(policy, Router):
        return ()
    return routed_examples(policy, own.sweep, own.plan(budget).final)


def _over_budget(own: Replayed, budget: float) -> float | None:
    if own.unit != "latency_ms":
        return None
    spent = own.plan(budget).cost(own.sweep, own.unit, own.own)
    return float((spent > budget).mean())


def _figure(results: ReplayResults, output_dir: Path) -> Path | None:
    try:
        from tierexp.policies.figure import write_figure
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return None
    return write_figure(results, output_dir / "frontier.png")
