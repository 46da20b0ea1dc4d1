"""What an evaluation is made of, checked before anything heavy is imported.

In: the composed configuration. Out: tier, threshold, resizing, data set and model source, ready to
run. Opens the data file; reads no weights and imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import get_args

from hydra.errors import InstantiationException
from omegaconf import DictConfig

from tierexp.config.build import build, describes, refuse_unknown_keys, resolved, unknown_key
from tierexp.config.checks import MAX_SEED, choice, flag, whole_number
from tierexp.data.sample import OnError, QuestionDataset
from tierexp.data.sizes import read_sizes
from tierexp.errors import ConfigError, DataError
from tierexp.imaging.resize import Resize
from tierexp.models.protocol import ModelSource
from tierexp.results.latency import LatencySettings, NoLatency
from tierexp.results.metrics import BUILT_IN, AnyMetric, combined
from tierexp.tiers.tier import CropPolicy, Threshold

KEYS = (
    "tier", "threshold", "resize", "model", "data", "latency", "validate", "trainer", "logger",
    "seed", "resume", "run_name", "output_dir", "metric",
)  # fmt: skip
"""The top-level keys of `conf/eval.yaml`."""


@dataclass(frozen=True)
class LoaderSettings:
    """How samples are loaded, whatever the data set.

    Args:
        batch_size: Most samples of a batch.
        num_workers: Worker processes; 0 prepares in the main process.
        on_error: What a sample does whose image cannot be read, or that does not fit into memory
            alone: `skip` counts it as failed, `raise` ends the run.

    Raises:
        ConfigError: A number is too small, or another word.
    """

    batch_size: int
    num_workers: int
    on_error: OnError

    def __post_init__(self) -> None:
        whole_number("data.batch_size", self.batch_size, 1)
        whole_number("data.num_workers", self.num_workers, 0)
        choice("data.on_error", self.on_error, get_args(OnError))


@dataclass(frozen=True)
class EvaluationSetup:
    """Everything of an evaluation that can be checked without torch.

    Args:
        tier: The crop policy.
        threshold: When a tier's preferred counts suffice.
        resize: How an image meets its canvas.
        loader: How samples are loaded.
        dataset: The samples, at least one.
        source: The model, its weights not read yet.
        seed: Of everything random.
        latency: How latency is measured; None where it is not.
        resume: Whether to go on with an unfinished run in the output folder.
        metrics: The columns of results.
    """

    tier: CropPolicy
    threshold: Threshold
    resize: Resize
    loader: LoaderSettings
    dataset: QuestionDataset
    source: ModelSource
    seed: int
    latency: LatencySettings | None = None
    resume: bool = False
    metrics: tuple[AnyMetric, ...] = BUILT_IN


def read_setup(config: DictConfig, keys: Sequence[str] = KEYS) -> EvaluationSetup:
    """Check a configuration and build what it describes, the cheapest things first.

    Args:
        config: As composed by Hydra from `conf/eval.yaml`.
        keys: The top-level keys that are read, here or elsewhere.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed, names a missing image, or has no samples.
        CheckpointError: The model's folder is not a checkpoint.
    """
    refuse_unknown_keys(config, keys)
    seed = whole_number("seed", config.seed, 0, MAX_SEED)
    source = build(config, "model")
    tier = build(config, "tier", geometry=source.geometry)  # what a fixed tier's crops cost
    threshold = build(config, "threshold")
    resize = build(config, "resize")
    if describes(config, "data", read_sizes):
        allowed = "images for a model to see, such as tierqa or folder; sizes suffice to model=none"
        raise ConfigError("data", "sizes", allowed)
    if "validate" in keys:
        _validation_settings(config)
    latency = build(config, "latency") if "latency" in keys else NoLatency()
    loader = _loader_settings(config)
    if isinstance(latency, LatencySettings) and latency.passes == "one":
        _refuse_other_answers(latency, loader)
    dataset = build(config, "data", leave_out=[field.name for field in fields(LoaderSettings)])
    if len(dataset) == 0:
        raise DataError(f"data set {dataset.name} has no samples: there is nothing to evaluate")
    return EvaluationSetup(
        tier, threshold, resize, loader, dataset, source, seed,
        latency if isinstance(latency, LatencySettings) else None,
        flag("resume", config.resume) if "resume" in keys else False,
        read_metrics(config) if "metric" in keys else BUILT_IN,
    )  # fmt: skip


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
    metrics = []
    for name in map(str, own):
        key = f"metric.{name}"
        try:
            metrics.append(build(config, key))
        except InstantiationException as error:  # of what it is made of, by Hydra
            reason = str(error).splitlines()[0]
            raise ConfigError(key, own[name].get("_target_"), reason) from error
    return combined(metrics)


def _validation_settings(config: DictConfig) -> None:
    """Check what `report.comparison` reads when the runs are done."""
    settings = config.validate if isinstance(config.validate, DictConfig) else {}
    for key, value in settings.items():
        if key != "strict":
            raise unknown_key(f"validate.{key}", value, ["strict"])
    flag("validate.strict", settings.get("strict"))


def _refuse_other_answers(latency: LatencySettings, loader: LoaderSettings) -> None:
    if latency.output_tokens is not None:
        allowed = "null with latency.passes=one: answers of a fixed length would be scored"
        raise ConfigError("latency.output_tokens", latency.output_tokens, allowed)
    if loader.batch_size != 1:
        allowed = "1 with latency.passes=one: samples are timed alone"
        raise ConfigError("data.batch_size", loader.batch_size, allowed)


def _loader_settings(config: DictConfig) -> LoaderSettings:
    data = resolved(config.data)
    names = [field.name for field in fields(LoaderSettings)]
    for name in names:
        if name not in data:
            raise ConfigError(f"data.{name}", None, "it has been deleted, and loading needs it")
    return LoaderSettings(**{name: data[name] for name in names})
