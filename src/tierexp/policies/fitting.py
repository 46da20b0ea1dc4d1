"""Fitting a policy to a static sweep: no model is run.

In: a sweep, and what to fit. Out: a `PolicyFile`. The sweep should be of questions that are kept
for such choices, a validation split: what is fitted knows their answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.imaging.resize import ResizeMode
from tierexp.policies.allocation import allocate
from tierexp.policies.cascade import Chain, fit_chains
from tierexp.policies.chance import Boosting, ChanceModel, fit_chance
from tierexp.policies.costs import Unit
from tierexp.policies.detail import Regions
from tierexp.policies.features import FeatureSpace, Group, feature_space, feature_table
from tierexp.policies.images import look_at
from tierexp.policies.latency_model import (
    CostModel,
    CostModelError,
    fit_cost_model,
    held_out_errors,
    timed_units,
)
from tierexp.policies.policy_file import (
    KIND,
    SCHEMA_VERSION,
    Estimate,
    FittedName,
    FittedOn,
    PolicyFile,
    data_identity,
    knobs_of,
)
from tierexp.policies.router import RouterParameters
from tierexp.policies.static import mixture_hull, point_figures
from tierexp.policies.sweep import Sweep
from tierexp.results.provenance import gather_provenance

Floats = NDArray[np.float64]
_TIMED_ALONE = 25
"""Questions that a router decides on one by one, to see how long it takes."""
_ESTIMATES = 9
"""Budgets from the cheapest point's cost to the dearest's."""


def fit_policy(
    name: FittedName, sweep: Sweep, groups: tuple[Group, ...], boosting: Boosting,
    timed: Sweep | None = None,
) -> tuple[PolicyFile, Floats | None]:  # fmt: skip
    """Fit one policy.

    Args:
        name: Name of the policy.
        sweep: On which.
        groups: Groups of a router's features.
        boosting: Boosting of a router's trees.
        timed: What tells how long answers take, where other questions do; at the same points.

    Returns:
        The file, and of a router the (N, P) chances that cross-validation gives.

    Raises:
        TierexpError: The results do not hold what the policy needs.
    """
    router, chances = None, None
    chains: dict[str, tuple[Chain, ...]] | None = None
    errors: dict[str, tuple[CostModelError, ...]] = {}
    estimates: dict[str, tuple[Estimate, ...]] = {}
    if name == "router":
        clock = sweep if timed is None else timed
        costs: dict[str, CostModel] = {u: fit_cost_model(clock, u) for u in timed_units(clock)}
        router, chances = _fit_router(sweep, groups, boosting, costs)
        errors = {unit: held_out_errors(clock, unit) for unit in timed_units(clock)}
        estimates = {unit: _estimates(sweep, unit, chances) for unit in sweep.costs}
    if name == "cascade":
        chains = {str(unit): fit_chains(sweep, unit) for unit in sweep.costs}
    file = PolicyFile(
        SCHEMA_VERSION, KIND, name, sweep.points, point_figures(sweep), _fitted_on(sweep, timed),
        estimates, errors, knobs_of(sweep), router, chains,
    )  # fmt: skip
    return file, chances


def resize_of(sweep: Sweep) -> ResizeMode:
    """How the sweep's images met their canvas.

    Raises:
        DataError: The results do not say.
    """
    if sweep.config is None:
        raise DataError(
            "these results do not say how images were resized; "
            "policy.features=[words,sizes] does without"
        )
    mode: ResizeMode = sweep.config["resize"]["crops"]
    return mode


def _fit_router(
    sweep: Sweep, groups: tuple[Group, ...], boosting: Boosting, costs: dict[str, CostModel]
) -> tuple[RouterParameters, Floats]:
    images: Mapping[str, Regions] | None = None
    own_ms = 0.0
    placed = {"points", "detail"} & set(groups)
    if not np.isfinite(sweep.sizes).all() and set(groups) != {"words"}:
        raise DataError("these results do not say how large images are; policy.features=[words]")
    mode = resize_of(sweep) if placed else "fill"
    if "detail" in groups:
        # An image's questions come one by one to a user: each pays for looking.
        looked = look_at(sweep)
        images, own_ms = looked.regions(), looked.ms_per_image
    space = feature_space(groups, sweep.questions)
    table = feature_table(space, sweep.asked, images, mode)
    model, chances = fit_chance(table, sweep.accuracy, sweep.images, boosting)
    own_ms += _deciding_ms(space, model, sweep, images, mode)
    return RouterParameters(space, model, mode, own_ms, costs), chances


def _deciding_ms(
    space: FeatureSpace,
    model: ChanceModel,
    sweep: Sweep,
    images: Mapping[str, Regions] | None,
    mode: ResizeMode,
) -> float:
    """Milliseconds that a question's features and chances take, alone; the median of a few."""
    times = []
    for row in range(min(_TIMED_ALONE, len(sweep))):
        asked = sweep.select(np.array([row])).asked
        start = perf_counter()
        table = feature_table(space, asked, images, mode)
        model.predict(table.reshape(-1, table.shape[2]))
        times.append(1e3 * (perf_counter() - start))
    return float(np.median(times))


def _estimates(sweep: Sweep, unit: Unit, chances: Floats) -> tuple[Estimate, ...]:
    cost = sweep.cost(unit)
    plan, rows = allocate(chances, cost), np.arange(len(sweep))
    hull = mixture_hull(list(cost.mean(axis=0)), list(sweep.accuracy.mean(axis=0)))
    found = []
    for budget in np.linspace(cost.mean(axis=0).min(), cost.mean(axis=0).max(), _ESTIMATES):
        choice = plan.within(float(budget))
        spent = float(cost[rows, choice].mean())
        right = float(sweep.accuracy[rows, choice].mean())
        found.append(Estimate(float(budget), right, float(hull.accuracy(spent))))
    return tuple(found)


def _fitted_on(sweep: Sweep, timed: Sweep | None) -> FittedOn:
    provenance = gather_provenance({}, seed=None, device="cpu")
    return FittedOn(
        dataset=sweep.dataset,
        data=data_identity(sweep.config, sweep.dataset),
        model=sweep.model,
        inputs={point: dict(inputs) for point, inputs in sweep.inputs.items()},
        num_samples=len(sweep),
        num_images=len(set(sweep.images)),
        versions=provenance.versions | {name: version(name) for name in ("scikit-learn", "scipy")},
        git_commit=provenance.git_commit,
        num_timed=None if timed is None else len(timed),
    )
