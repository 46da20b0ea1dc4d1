"""A fitted policy on disk: JSON, with what it was fitted on.

In: what fitting found. Out: a file, and from it the policy again, without scikit-learn. Says where
it meets other weights, points or data than it was fitted for. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tierexp.errors import ConfigError, DataError
from tierexp.policies.cascade import Cascade, Chain
from tierexp.policies.decision import Policy
from tierexp.policies.detail import Regions
from tierexp.policies.images import look_at
from tierexp.policies.latency_model import CostModelError
from tierexp.policies.router import Router, RouterParameters
from tierexp.policies.static import Lookup, Mixture, PointFigures
from tierexp.policies.sweep import Sweep
from tierexp.results.files import read_results, write_results

SCHEMA_VERSION = 1
KIND = "policy"
FittedName = Literal["lookup", "mixture", "router", "cascade"]
_NOT_THE_SAMPLES = ("split", "max_samples", "batch_size", "num_workers", "on_error")
"""Keys of `data` in which two sweeps of one data set may differ."""


@dataclass(frozen=True)
class FittedOn:
    """What a policy was fitted on.

    Args:
        dataset: Name of the data set, its split included.
        data: The settings of `data` that say which data set it is, whatever the split.
        model: Name of the model; None where older results do not say.
        inputs: By point: digests of weights and samples, and of the checkpoint, which is what the
            weight files hold, wherever they lie.
        num_samples: Questions.
        num_images: That they are about.
        versions: Versions of the packages that fitted it.
        git_commit: Commit of the checkout; None for an installed package.
        num_timed: Other questions that times were taken from; None where there were none.
    """

    dataset: str
    data: dict[str, str]
    model: str | None
    inputs: dict[str, dict[str, str]]
    num_samples: int
    num_images: int
    versions: dict[str, str]
    git_commit: str | None
    num_timed: int | None = None


@dataclass(frozen=True)
class PointKnobs:
    """Knobs of one point.

    Args:
        top_k: Experts per token; 1 for a dense model.
        num_active_blocks: Decoder blocks that run; 1 where the decoder is no stack of them.
    """

    top_k: int
    num_active_blocks: int

    def __str__(self) -> str:
        return f"top_k={self.top_k} num_active_blocks={self.num_active_blocks}"


@dataclass(frozen=True)
class Estimate:
    """What the policy reaches by cross-validation within the questions of the fitting.

    Args:
        budget: Mean cost.
        accuracy: Accuracy of the policy.
        mixture: Accuracy of the random mixture of the points, at that cost.
    """

    budget: float
    accuracy: float
    mixture: float


@dataclass(frozen=True)
class PolicyFile:
    """The file.

    Args:
        schema_version: Schema version of these fields.
        kind: `policy`.
        policy: Its name.
        points: In the order of their cost.
        figures: Figures of the points, on the questions of the fitting.
        fitted_on: See `FittedOn`.
        estimates: By unit; empty where a policy has no cross-validation.
        cost_model_errors: By unit: of the latency model, point by point held out.
        knobs: Knobs of the points, in their order.
        router: Parameters of a router.
        chains: Chains of a cascade, by unit.
    """

    schema_version: int
    kind: str
    policy: str
    points: tuple[str, ...]
    figures: tuple[PointFigures, ...]
    fitted_on: FittedOn
    estimates: dict[str, tuple[Estimate, ...]]
    cost_model_errors: dict[str, tuple[CostModelError, ...]]
    knobs: tuple[PointKnobs, ...]
    router: RouterParameters | None = None
    chains: dict[str, tuple[Chain, ...]] | None = None


def read_policy(path: Path) -> PolicyFile:
    """Read what `write_policy` wrote.

    Raises:
        DataError: It is missing, or no policy of this version.
    """
    file = read_results(PolicyFile, SCHEMA_VERSION, path)
    if file.kind != KIND:
        raise DataError(f"{path} is not a policy file: its kind is {file.kind!r}")
    return file


def write_policy(file: PolicyFile, path: Path) -> None:
    """Write a policy.

    Raises:
        MachineError: It cannot be written.
    """
    write_results(file, path)


def data_identity(config: Mapping[str, Any] | None, dataset: str) -> dict[str, str]:
    """What says which data set results are about, whatever the split.

    Args:
        config: Resolved, as results keep it; None of older ones.
        dataset: Its name there.
    """
    if config is None:
        return {"dataset": dataset}
    return {k: str(v) for k, v in config["data"].items() if k not in _NOT_THE_SAMPLES}


@dataclass(frozen=True)
class Target:
    """What a policy is to decide on.

    Args:
        points: In the order of their cost.
        dataset: Name of the data set.
        data: As `data_identity` has it.
        model: Name of the model; None where older results do not say.
        inputs: By point: digests as in `FittedOn`, where they are known.
        called: What it is, in a complaint.
        knobs: Of the points, in their order.
    """

    points: tuple[str, ...]
    dataset: str
    data: Mapping[str, str]
    model: str | None
    inputs: Mapping[str, Mapping[str, str]]
    called: str
    knobs: tuple[PointKnobs, ...]


def target_of(sweep: Sweep) -> Target:
    """A sweep, as something to decide on."""
    identity = data_identity(sweep.config, sweep.dataset)
    return Target(
        sweep.points, sweep.dataset, identity, sweep.model, sweep.inputs, "these results are",
        knobs_of(sweep),
    )  # fmt: skip


def knobs_of(sweep: Sweep) -> tuple[PointKnobs, ...]:
    """Knobs of a sweep's points, in their order."""
    pairs = zip(sweep.top_k, sweep.num_active_blocks, strict=True)
    return tuple(PointKnobs(int(top_k), int(blocks)) for top_k, blocks in pairs)


def matched(
    file: PolicyFile, name: str, target: Target, named: tuple[str, object], anyway: bool
) -> tuple[str, ...]:
    """Refuse a policy that belongs elsewhere; say where it was fitted on something else.

    Args:
        file: The policy.
        name: That it was asked for by.
        target: It is to decide on.
        named: Key of the configuration that named the file, and its value.
        anyway: Go on where the model, its weights, its knobs or the data set are others.

    Returns:
        Lines to say; none where everything is as in the fitting.

    Raises:
        ConfigError: It is another policy, of other points, or another model's, other weights',
            other knobs' or another data set's and `anyway` is false.
    """
    on = file.fitted_on
    if file.policy != name:
        raise ConfigError(*named, f"the file holds a policy {file.policy}: policy={file.policy}")
    if file.points != target.points:
        fitted, asked = (", ".join(points) for points in (file.points, target.points))
        allowed = f"the points it was fitted for, {fitted}, not {asked}: policy.points=[...]"
        raise ConfigError(*named, allowed)
    said = []
    if on.model != target.model:
        said.append(f"fitted for the model {on.model}, {target.called} of {target.model}")
    if on.data != target.data:
        said.append(f"fitted on the data set {on.dataset}, {target.called} of {target.dataset}")
    if _differ(on.inputs, target, "checkpoint"):
        said.append(f"fitted for other weights of the model {on.model}")
    said += _other_knobs(file, target)
    if said and not anyway:
        raise ConfigError(*named, f"{said[0]}; policy.other_data=true goes on all the same")
    # Results without it tell only where the files lay, and when they were last changed.
    told = all("checkpoint" in of[p] for p in target.points for of in (on.inputs, target.inputs))
    if not told and _differ(on.inputs, target, "weights"):
        said.append(
            "fitted for weights of another digest: other files, or the same at another place"
        )
    samples = {on.inputs.get(p, {}).get("samples") for p in target.points}
    if samples == {target.inputs[p].get("samples") for p in target.points} and None not in samples:
        said.append("fitted on these very questions: its figures say little about others")
    return tuple(said)


def _other_knobs(file: PolicyFile, target: Target) -> list[str]:
    """A line about the first point whose knobs are not those of the fitting."""
    for point, fitted, asked in zip(file.points, file.knobs, target.knobs, strict=True):
        if fitted != asked:
            return [f"fitted for {point} with {fitted}, {target.called} of {asked}"]
    return []


def _differ(inputs: Mapping[str, Mapping[str, str]], target: Target, key: str) -> bool:
    """Whether a digest of some point is known on both sides and is another."""
    pairs = [(inputs.get(p, {}).get(key), target.inputs[p].get(key)) for p in target.points]
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def policy_of(file: PolicyFile, sweep: Sweep, seed: int = 0) -> Policy:
    """The policy in a file, ready for a sweep; the images are opened where it looks at them.

    Raises:
        DataError: The images are not to be had.
    """
    looks = file.router is not None and "detail" in file.router.space.groups
    return policy_from(file, look_at(sweep).regions() if looks else None, seed)


def policy_from(
    file: PolicyFile, images: Mapping[str, Regions] | None, seed: int = 0
) -> Lookup | Mixture | Cascade | Router:
    """The policy in a file.

    Args:
        file: See `read_policy`.
        images: Regions by image key, for a router that looks at them.
        seed: Seed of a mixture.

    Raises:
        DataError: The file holds nothing of its policy.
    """
    if file.policy == "lookup":
        return Lookup(file.figures)
    if file.policy == "mixture":
        return Mixture(file.figures, seed)
    if file.chains is not None:
        return Cascade(file.chains)
    if file.router is None:
        raise DataError(f"the file holds nothing of its policy {file.policy}")
    return Router(file.router, images)
