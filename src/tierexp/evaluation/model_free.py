"""One run without a model, from its configuration to its results file.

In: the composed configuration, and which of its keys the user wrote. Out: results, written and
printed. Imports no torch: a million sizes take seconds, and so should the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import refuse_unknown_keys, resolved
from tierexp.config.settings import refuse_unread
from tierexp.data.family_columns import measure_family
from tierexp.data.size_columns import measure
from tierexp.data.sizes import ImageSizes
from tierexp.data.sizes_setup import read_image_sizes, require_a_size
from tierexp.evaluation.setup import KEYS, read_metrics
from tierexp.imaging.measurements import ManyImages
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.source import read_source
from tierexp.models.none import NoModel
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

_UNREAD = (
    "policy", "reduction", "latency", "validate", "resume", "trainer", "logger", "seed", "run_name",
    "resize.exact", "resize.antialias", "data.batch_size", "data.num_workers",
)  # fmt: skip
"""What only a model needs. These groups and keys have defaults, so they are always there."""


@dataclass(frozen=True)
class ModelFreeSetup:
    """Everything a run without a model is made of.

    Args:
        model: Whose crops or cells.
        preprocessing: How images would become crops.
        sizes: Of the images, at least one of them or of their failures.
        metrics: The columns of results; those of answers have no values.
    """

    model: NoModel
    preprocessing: Preprocessing
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
    tier = setup.preprocessing.tier
    started = perf_counter()
    images, sizes = _measure(setup)
    columns = columns_of_images(setup.metrics, images)
    seconds = perf_counter() - started
    results = aggregate_columns(
        [metric for metric in setup.metrics if metric.name in columns],
        columns,
        tuple(Failure(name, reason) for name, reason in sizes.unreadable.items()),
        ModelFreeFacts(
            dataset=sizes.name,
            tier=tier.name,
            tier_range=TierRange(tier.min_crops, tier.max_crops),
            resize_to_fill=setup.preprocessing.fills,
            model=setup.model.name,
        ),
        seconds,
        gather_provenance(_read_part(config), seed=None, device="cpu"),
    )
    path = output_dir / results.file_name
    write_results(results, path)
    print_summary(results, path, None, Console())
    require_a_size(sizes)
    return results


def _measure(setup: ModelFreeSetup) -> tuple[ManyImages, ImageSizes]:
    """The figures, and the sizes of the images that have some."""
    how, preset = setup.preprocessing, setup.model.preset
    if preset is None:
        return measure(setup.sizes, how), setup.sizes
    return measure_family(setup.sizes, how.tier, how.resize, preset)


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
    model = read_source(config)
    assert isinstance(model, NoModel)
    if model.preset is not None:
        reason = "leave it out: with a model.family the least mismatch wins"
        refuse_unread(written, ("threshold",), reason)
    preprocessing = Preprocessing.from_config(config, model.geometry)
    sizes = read_image_sizes(config, "measure")
    return ModelFreeSetup(model, preprocessing, sizes, read_metrics(config))


def _read_part(config: DictConfig) -> dict[str, object]:
    """The configuration, resolved, without what nothing reads."""
    everything = resolved(config)
    part = {key: everything[key] for key in KEYS if key not in _UNREAD}
    for name in _UNREAD:
        group, _, key = name.partition(".")
        if key:
            part[group].pop(key, None)
    return part
