"""One run without a model, from its configuration to its results file.

In: the composed configuration, and which of its keys the user wrote. Out: results, written and
printed. Imports no torch: a million sizes take seconds, and so should the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import get_args

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import build, refuse_unknown_keys, resolved
from tierexp.config.checks import choice, flag
from tierexp.data.sample import OnError
from tierexp.data.size_columns import measure
from tierexp.data.sizes import ImageSizes, sample_sizes
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.folder import claimed, results_in
from tierexp.evaluation.setup import KEYS, LoaderSettings
from tierexp.imaging.resize import Resize
from tierexp.report.summary import print_summary
from tierexp.results.model_free import (
    ModelFreeFacts,
    ModelFreeResults,
    aggregate_columns,
)
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import Failure, TierRange, write_results
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
    """

    tier: CropPolicy
    threshold: Threshold
    resize: Resize
    geometry: CropGeometry
    sizes: ImageSizes


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
    with claimed(output_dir, resume=False, overwrite=flag("overwrite", config.overwrite)):
        superseded = results_in(output_dir)
        results = _measured(setup, _read_part(config))
        path = output_dir / results.file_name
        write_results(results, path)
        for file in superseded:
            if file != path:
                file.unlink()
    print_summary(results, path, None, Console())
    require_a_size(setup.sizes)
    return results


def _measured(setup: ModelFreeSetup, settings: dict[str, object]) -> ModelFreeResults:
    started = perf_counter()
    columns = measure(setup.sizes, setup.tier, setup.threshold, setup.resize, setup.geometry)
    seconds = perf_counter() - started
    return aggregate_columns(
        columns,
        tuple(Failure(name, reason) for name, reason in setup.sizes.unreadable.items()),
        ModelFreeFacts(
            dataset=setup.sizes.name,
            tier=setup.tier.name,
            tier_range=TierRange(setup.tier.min_crops, setup.tier.max_crops),
            resize_to_fill=setup.resize.crops == "fill",
        ),
        seconds,
        gather_provenance(settings, seed=None, device="cpu"),
    )


def read_model_free_parts(
    config: DictConfig, written: Mapping[str, object]
) -> Callable[[ImageSizes], ModelFreeSetup]:
    """Check a configuration and build what it describes, but for the sizes.

    Args:
        config: As composed from `conf/eval.yaml`.
        written: Keys and values that the user wrote on the command line.

    Returns:
        What makes a setup of sizes.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
    """
    refuse_unknown_keys(config, KEYS)
    refuse_unread(written, _UNREAD, "leave it out: with model=none nothing reads it")
    geometry = build(config, "model").geometry
    return partial(
        ModelFreeSetup,
        build(config, "tier", geometry=geometry),
        build(config, "threshold"),
        build(config, "resize"),
        geometry,
    )


def read_model_free_setup(config: DictConfig, written: Mapping[str, object]) -> ModelFreeSetup:
    """The same with the sizes, which are read last of all.

    Args:
        config: As composed from `conf/eval.yaml`.
        written: Keys and values that the user wrote on the command line.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    parts = read_model_free_parts(config, written)
    return parts(read_image_sizes(config, "measure"))


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
