"""One run without a model, from its configuration to its results file.

In: the composed configuration, and which of its keys the user wrote. Out: results, written and
printed. Imports no torch: a million sizes take seconds, and so should the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import get_args

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import build, refuse_unknown_keys, resolved
from tierexp.config.checks import choice
from tierexp.data.sample import OnError
from tierexp.data.size_columns import measure
from tierexp.data.sizes import ImageSizes, sample_sizes
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.setup import KEYS, LoaderSettings, read_metrics
from tierexp.imaging.resize import Resize
from tierexp.report.summary import print_summary
from tierexp.results.files import write_results
from tierexp.results.metrics import BUILT_IN, AnyMetric, columns_of_images
from tierexp.results.model_free import (
    ModelFreeFacts,
    ModelFreeResults,
    aggregate_columns,
)
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import Failure, TierRange
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.tier import CropPolicy, Threshold

_UNREAD = (
    "latency", "validate", "resume", "trainer", "logger", "seed", "run_name", "resize.exact",
    "resize.antialias", "data.batch_size", "data.num_workers",
)  # fmt: skip
"""What only a model needs. These groups and keys have defaults, so they are always there."""


@dataclass(frozen=True)
class ModelFreeSetup:
    """Everything a run without a model is made of.

    Args:
        tier: The crop policy.
        threshold: When a tier's preferred counts suffice.
        resize: How an image meets its canvas.
        geometry: Of the crops.
        sizes: Of the images, at least one of them or of their failures.
        metrics: The columns of results; those of answers have no values.
    """

    tier: CropPolicy
    threshold: Threshold
    resize: Resize
    geometry: CropGeometry
    sizes: ImageSizes
    metrics: tuple[AnyMetric, ...] = BUILT_IN


def run_model_free(
    config: DictConfig, written: Mapping[str, object], output_dir: Path
) -> ModelFreeResults:
    """Select, measure, write the results file, print the summary.

    Args:
        config: As composed from `conf/eval.yaml`.
        written: Keys and values that the user wrote on the command line.
        output_dir: Where the results file goes.

    Raises:
        TierexpError: A setting or a data file that cannot work, or a setting that nothing reads.
        SystemExit: With code 1 where no image has a size.
    """
    setup = read_model_free_setup(config, written)
    started = perf_counter()
    images = measure(setup.sizes, setup.tier, setup.threshold, setup.resize, setup.geometry)
    columns = columns_of_images(setup.metrics, images)
    seconds = perf_counter() - started
    results = aggregate_columns(
        [metric for metric in setup.metrics if metric.name in columns],
        columns,
        tuple(Failure(name, reason) for name, reason in setup.sizes.unreadable.items()),
        ModelFreeFacts(
            dataset=setup.sizes.name,
            tier=setup.tier.name,
            tier_range=TierRange(setup.tier.min_crops, setup.tier.max_crops),
            resize_to_fill=setup.resize.crops == "fill",
        ),
        seconds,
        gather_provenance(_read_part(config), seed=None, device="cpu"),
    )
    path = output_dir / results.file_name
    write_results(results, path)
    print_summary(results, path, None, Console())
    require_a_size(setup.sizes)
    return results


def read_model_free_setup(config: DictConfig, written: Mapping[str, object]) -> ModelFreeSetup:
    """Check a configuration and build what it describes; reads the sizes, last of all.

    Args:
        config: As composed from `conf/eval.yaml`.
        written: Keys and values that the user wrote on the command line.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    refuse_unknown_keys(config, KEYS)
    refuse_unread(written, _UNREAD, "leave it out: with model=none nothing reads it")
    geometry = build(config, "model").geometry
    tier = build(config, "tier", geometry=geometry)
    threshold = build(config, "threshold")
    resize = build(config, "resize")
    sizes = read_image_sizes(config, "measure")
    return ModelFreeSetup(tier, threshold, resize, geometry, sizes, read_metrics(config))


def read_image_sizes(config: DictConfig, purpose: str) -> ImageSizes:
    """The sizes of the images that the group `data` describes, without decoding anything.

    Args:
        config: As composed; of its groups only `data` is read.
        purpose: What the sizes are for, a verb.

    Raises:
        ConfigError: A key of the group that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    data = config.data if isinstance(config.data, DictConfig) else {}
    on_error = data.get("on_error")
    choice("data.on_error", on_error, get_args(OnError))
    of_loader = [field.name for field in fields(LoaderSettings) if field.name in data]
    dataset = build(config, "data", leave_out=of_loader)
    sizes = dataset if isinstance(dataset, ImageSizes) else sample_sizes(dataset)
    if not (len(sizes.heights) or sizes.unreadable):
        raise DataError(f"data set {sizes.name} has no samples: there is nothing to {purpose}")
    if on_error == "raise" and sizes.unreadable:
        name, reason = next(iter(sizes.unreadable.items()))
        raise DataError(f"sample {name}: {reason}")
    return sizes


def require_a_size(sizes: ImageSizes) -> None:
    """End the run where no image could be read.

    Raises:
        SystemExit: With code 1 and the first reason.
    """
    if not len(sizes.heights):
        name, reason = next(iter(sizes.unreadable.items()))
        raise SystemExit(
            f"error: all {len(sizes.unreadable)} samples failed, the first, {name}: {reason}"
        )


def refuse_unread(written: Mapping[str, object], unread: Sequence[str], way_out: str) -> None:
    """Refuse what the user wrote and nothing would read; defaults of the same keys are no harm.

    Args:
        written: Keys and values that the user wrote on the command line.
        unread: Groups and keys.
        way_out: What to do instead.

    Raises:
        ConfigError: One of them was written, and it does not just say that there is none.
    """
    for key, value in written.items():
        named = any(key == name or key.startswith(f"{name}.") for name in unread)
        if named and (key, value) not in (("logger", "none"), ("latency", "off")):
            raise ConfigError(key, value, way_out)


def _read_part(config: DictConfig) -> dict[str, object]:
    """The configuration, resolved, without what nothing reads."""
    everything = resolved(config)
    part = {key: everything[key] for key in KEYS if key not in _UNREAD}
    for name in _UNREAD:
        group, _, key = name.partition(".")
        if key:
            part[group].pop(key, None)
    return part
