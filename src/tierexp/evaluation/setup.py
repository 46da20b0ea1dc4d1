"""What an evaluation is made of, checked before anything heavy is imported.

In: the composed configuration. Out: preprocessing, data set and model source, ready to run. Opens
the data file; reads no weights and imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from tierexp.config.build import (
    Blueprint,
    blueprint,
    build,
    has_target,
    refuse_unknown_keys,
    resolved,
    unknown_key,
)
from tierexp.config.checks import MAX_SEED, flag, whole_number
from tierexp.config.logger_settings import check_logger
from tierexp.config.written import varies
from tierexp.data.loader_settings import LoaderSettings
from tierexp.data.plan import readable_sizes
from tierexp.data.sample import QuestionDataset
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.policy_budget import check_policy
from tierexp.imaging.preprocessing import Preprocessing, read_preprocessing
from tierexp.models.knobs.reduction.point import at_point
from tierexp.models.knobs.reduction.settings import (
    AMOUNTS,
    NO_REDUCTION,
    NoReduction,
    Reduction,
    with_reduction,
)
from tierexp.models.knobs.source import read_source
from tierexp.models.protocol import ModelSource
from tierexp.policies.live import LivePolicy
from tierexp.results.columns import Columns, read_columns
from tierexp.results.latency import LatencySettings
from tierexp.results.metrics import BUILT_IN, AnyMetric
from tierexp.results.own_metrics import combined
from tierexp.runtime.trainer_settings import check_trainer
from tierexp.tiers.policy import Policy

KEYS = (
    "tier", "threshold", "policy", "resize", "reduction", "model", "data", "latency", "metric",
    "results", "validate", "trainer", "logger", "seed", "resume", "overwrite", "run_name",
    "output_dir",
)  # fmt: skip
"""The top-level keys of `conf/eval.yaml`."""


MAX_NAMES = 180
"""Bytes of the names of data set and tier in that of a results file. File systems take 255; the
rest is for what else the name tells, and for that of the file while it is being written.
"""


@dataclass(frozen=True)
class EvaluationSetup:
    """Everything of an evaluation that can be checked without torch.

    Args:
        preprocessing: How images become crops.
        policy: What chooses the operating point of every sample.
        point_sources: The model at every point of the policy.
        loader: How samples are loaded.
        dataset: The samples, at least one.
        source: The model, its weights not read yet.
        seed: Seed of everything random.
        settings: The configuration, resolved.
        trainer: Trainer of Lightning.
        logger: Takes `save_dir`; None where nothing is logged.
        latency: How latency is measured; None where it is not.
        resume: Whether to go on with what is in the output folder.
        overwrite: Whether what is in the output folder may go.
        metrics: The columns of results.
        point_reductions: Which vision tokens the language model keeps at every point; the sources
            know it, too.
        notes: Lines to say before it runs.
        columns: Whether samples are written as columns, too.
    """

    preprocessing: Preprocessing
    policy: Policy
    point_sources: tuple[ModelSource, ...]
    loader: LoaderSettings
    dataset: QuestionDataset
    source: ModelSource
    seed: int
    settings: dict[str, Any]
    trainer: Blueprint
    logger: Blueprint | None = None
    latency: LatencySettings | None = None
    resume: bool = False
    overwrite: bool = False
    metrics: tuple[AnyMetric, ...] = BUILT_IN
    point_reductions: tuple[Reduction, ...] = (NO_REDUCTION,)
    notes: tuple[str, ...] = ()
    columns: Columns = "none"


def read_setup(
    config: DictConfig, datasets: dict[str, QuestionDataset] | None = None
) -> EvaluationSetup:
    """Check a configuration and build what it describes, the cheapest things first.

    Args:
        config: As composed by Hydra from `conf/eval.yaml`.
        datasets: Those of runs before, which are not opened again; this one is added.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed, names a missing image, or has no samples.
        CheckpointError: The model's folder is not a checkpoint.
    """
    refuse_unknown_keys(config, KEYS)
    seed = whole_number("seed", config.seed, 0, MAX_SEED)
    source = read_source(config, kind=ModelSource)
    preprocessing = read_preprocessing(config, source)
    policy = _policy(config, preprocessing)
    for point in policy.points:
        preprocessing.check(point.tier)
    _validation_settings(config)
    written = resolved(config)
    columns = read_columns(written["results"])
    latency = build(config, "latency")
    check_trainer(written["trainer"])
    check_logger(written["logger"])
    loader = LoaderSettings.from_config(config)
    if isinstance(latency, LatencySettings):
        _refuse_fixed_length(latency, source)
        if latency.passes == "one":
            _refuse_other_answers(latency, loader)
    dataset = read_dataset(config, source, datasets)
    _refuse_long_names(dataset.name, policy.name)
    resume, overwrite = read_claim(config)
    reduction = _reduction(config)
    _refuse_second_reduction(policy, reduction)
    reduction = reduction.settled(lambda: readable_sizes(dataset)[0].values(), preprocessing)
    source = with_reduction(source, reduction)
    points = _points(policy, source, reduction, dataset, preprocessing)
    settings = resolved(config)
    timed = isinstance(latency, LatencySettings)
    at_points = tuple(source for source, _ in points)
    said = check_policy(policy, dataset, source, at_points, settings, timed)
    notes = [f"policy: {line}" for line in said]
    notes += _unknown_data(source, dataset.name)
    return EvaluationSetup(
        preprocessing, policy, at_points, loader, dataset, source, seed,
        settings=settings,
        trainer=blueprint(config, "trainer"),
        logger=blueprint(config, "logger"),
        latency=latency if isinstance(latency, LatencySettings) else None,
        resume=resume, overwrite=overwrite,
        metrics=read_metrics(config),
        point_reductions=tuple(reduction for _, reduction in points), notes=tuple(notes),
        columns=columns,
    )  # fmt: skip


def _unknown_data(source: ModelSource, dataset: str) -> list[str]:
    """A line about a model that knows one data set alone, where it is to be asked about another."""
    known = getattr(source, "trained_on", None)
    if known is None or dataset.startswith(known):
        return []
    return [
        f"model {source.name} has seen {known}'s generated pictures alone (codes, shapes, plates, "
        "colours): its answers about others are guesses; tokens, times and tilings are as they are"
    ]


def _reduction(config: DictConfig) -> Reduction:
    """The group `reduction`. Where a sweep tries several methods and none, the others' number of
    tokens is nothing to the latter.
    """
    group, unread = config.reduction, list[str]()
    if has_target(config, "reduction", NoReduction) and varies("reduction"):
        unread = [name for name in AMOUNTS if group.get(name) is not None]
    for name in unread:
        if varies(f"reduction.{name}"):
            allowed = "without none, which would run once for each: reduction.keep=1 is the same"
            raise ConfigError("reduction", "none", allowed)
        group[name] = None
    reduction: Reduction = build(config, "reduction")
    return reduction


def _refuse_second_reduction(policy: Policy, reduction: Reduction) -> None:
    if isinstance(policy, LivePolicy) and reduction.method != "none":
        allowed = f"none beside policy={policy.name}: its points say which vision tokens are kept"
        raise ConfigError("reduction", reduction.method, allowed)


def _points(
    policy: Policy,
    source: ModelSource,
    reduction: Reduction,
    dataset: QuestionDataset,
    preprocessing: Preprocessing,
) -> list[tuple[ModelSource, Reduction]]:
    """(source, reduction) at every point of a policy, see `at_point`."""
    sizes = lambda: readable_sizes(dataset)[0].values()  # noqa: E731
    return [
        at_point(source, point, reduction, sizes, replace(preprocessing, tier=point.tier))
        for point in policy.points
    ]


def read_dataset(
    config: DictConfig, source: ModelSource, known: dict[str, QuestionDataset] | None = None
) -> QuestionDataset:
    """The samples of a configuration, at least one.

    Args:
        config: As composed.
        source: Who is to be asked.
        known: Data sets that are open already; this one is added.

    Raises:
        ConfigError: A value that cannot work.
        DataError: The data file is malformed, names a missing image, or has no samples.
    """
    known = {} if known is None else known
    of_loader = LoaderSettings.names()
    # A family has its own way of asking.
    which = repr((blueprint(config, "data", of_loader), source.prompt_format))
    if which not in known:
        known[which] = build(
            config, "data", of_loader, kind=QuestionDataset, prompt_format=source.prompt_format
        )
    dataset = known[which]
    if len(dataset) == 0:
        raise DataError(f"data set {dataset.name} has no samples: there is nothing to evaluate")
    return dataset


def _refuse_long_names(dataset: str, tier: str) -> None:
    """Refuse names with which no file system would take the results file.

    Raises:
        ConfigError: One of them is too long.
    """
    longest = max((("data.name", dataset), ("tier.name", tier)), key=lambda name: len(name[1]))
    if len(f"{dataset}{tier}".encode()) > MAX_NAMES:
        allowed = f"at most {MAX_NAMES} bytes with the other name in the results file's"
        raise ConfigError(*longest, allowed)


def read_claim(config: DictConfig) -> tuple[bool, bool]:
    """(resume, overwrite): what may be done with what is in the output folder.

    Raises:
        ConfigError: Both, or one of them is no flag.
    """
    resume, overwrite = flag("resume", config.resume), flag("overwrite", config.overwrite)
    if resume and overwrite:
        raise ConfigError("overwrite", True, "false with resume=true, which keeps what is there")
    return resume, overwrite


def read_metrics(config: DictConfig) -> tuple[AnyMetric, ...]:
    """The columns of a run: those of every run, and what the group `metric` adds.

    Args:
        config: As composed; `metric` holds a group with a `_target_` for each of the user's own.

    Raises:
        ConfigError: An entry is no metric, or has the name of another column.
    """
    own = config.get("metric")
    if own is None:
        return combined([])
    if not isinstance(own, DictConfig):
        raise ConfigError("metric", own, "names of metrics, each with a _target_")
    return combined(build(config, f"metric.{name}") for name in map(str, own))


def _policy(config: DictConfig, preprocessing: Preprocessing) -> Policy:
    """The policy of the group `policy`, which may want to know the tier and the crops."""
    policy: Policy = build(
        config,
        "policy",
        kind=Policy,
        tier=preprocessing.tier,
        geometry=preprocessing.geometry,
        seed=config.seed,
        preprocessing=preprocessing,
    )
    if not policy.points:
        raise ConfigError("policy.points", [], "at least one operating point")
    return policy


def _validation_settings(config: DictConfig) -> None:
    """Check what `report.comparison` reads when the runs are done."""
    settings = config.validate if isinstance(config.validate, DictConfig) else {}
    for key, value in settings.items():
        if key != "strict":
            raise unknown_key(f"validate.{key}", value, ["strict"])
    flag("validate.strict", settings.get("strict"))


def _refuse_fixed_length(latency: LatencySettings, source: ModelSource) -> None:
    if latency.output_tokens is not None and not getattr(source, "fixes_length", True):
        allowed = "null with this model, which nobody can tell how long to answer"
        raise ConfigError("latency.output_tokens", latency.output_tokens, allowed)


def _refuse_other_answers(latency: LatencySettings, loader: LoaderSettings) -> None:
    if latency.output_tokens is not None:
        allowed = "null with latency.passes=one: answers of a fixed length would be scored"
        raise ConfigError("latency.output_tokens", latency.output_tokens, allowed)
    if loader.batch_size != 1:
        allowed = "1 with latency.passes=one: samples are timed alone"
        raise ConfigError("data.batch_size", loader.batch_size, allowed)
