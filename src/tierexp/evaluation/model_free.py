"""One run without a model, from its configuration to its results file.

In: the composed configuration, and which of its keys the user wrote. Out: results, written and
printed. Imports no torch: a million sizes take seconds, and so should the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import refuse_unknown_keys, resolved
from tierexp.config.settings import refuse_unread, resume_key
from tierexp.data.sizes import ImageSizes
from tierexp.data.sizes_setup import read_image_sizes, require_a_size
from tierexp.evaluation.folder import claimed
from tierexp.evaluation.journal import refuse_other_settings
from tierexp.evaluation.setup import KEYS, read_claim, read_metrics
from tierexp.imaging.preprocessing import Preprocessing, read_preprocessing
from tierexp.models.knobs.source import read_source
from tierexp.models.none import NoModel
from tierexp.report.summary import print_summary
from tierexp.results.files import finished_results, write_results
from tierexp.results.metrics import BUILT_IN, AnyMetric, columns_of_images
from tierexp.results.model_free import (
    ModelFreeFacts,
    ModelFreeResults,
    aggregate_columns,
    load_model_free_results,
)
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import Failure, TierRange

_UNREAD = (
    "policy", "reduction", "latency", "results", "validate", "trainer", "logger", "seed",
    "run_name", "resize.exact", "resize.antialias", "data.batch_size", "data.num_workers",
)  # fmt: skip
"""What only a model needs. These groups and keys have defaults, so they are always there."""


@dataclass(frozen=True)
class ModelFreeSetup:
    """Everything a run without a model is made of.

    Args:
        model: Whose crops or cells.
        preprocessing: How images would become crops.
        sizes: Sizes of the images, at least one of them or of their failures.
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
    with_sizes, settings = read_model_free_parts(config, written), _read_part(config)
    resume, overwrite = read_claim(config)
    with claimed(output_dir, resume, overwrite):
        superseded = finished_results(output_dir)
        finished = _finished(superseded, settings) if resume else None
        if finished is not None:
            print_summary(*finished, None, Console())
            return finished[0]
        setup = with_sizes(read_image_sizes(config, "measure"))
        results, sizes = _measured(setup, settings)
        path = output_dir / results.file_name
        write_results(results, path)
        for file in superseded:
            if file != path:
                file.unlink()
    print_summary(results, path, None, Console())
    require_a_size(sizes)
    return results


def _finished(
    files: Sequence[Path], settings: Mapping[str, object]
) -> tuple[ModelFreeResults, Path] | None:
    """What a run of the same settings has left, and its file.

    Raises:
        ConfigError: There are results, and they are of other settings.
        DataError: They are not of a run without a model.
    """
    if not files:
        return None
    results = load_model_free_results(files[0])
    refuse_other_settings(resume_key(results.provenance.config), resume_key(settings))
    return results, files[0]


def _measured(
    setup: ModelFreeSetup, settings: dict[str, object]
) -> tuple[ModelFreeResults, ImageSizes]:
    """The results, and the sizes of the images that have some."""
    tier = setup.preprocessing.tier
    started = perf_counter()
    measured = setup.preprocessing.measure(setup.sizes.heights, setup.sizes.widths)
    columns = columns_of_images(setup.metrics, measured.images)
    seconds = perf_counter() - started
    sizes = setup.sizes.without(measured.refused)
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
        gather_provenance(settings, seed=None, device="cpu"),
    )
    return results, sizes


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
    model = read_source(config)
    assert isinstance(model, NoModel)
    preprocessing = read_preprocessing(config, model)
    if not preprocessing.reads_threshold:
        reason = "leave it out: with a model.family the least mismatch wins"
        refuse_unread(written, ("threshold",), reason)
    return partial(ModelFreeSetup, model, preprocessing, metrics=read_metrics(config))


def _read_part(config: DictConfig) -> dict[str, object]:
    """The configuration, resolved, without what nothing reads."""
    everything = resolved(config)
    beside = (*_UNREAD, "resume", "overwrite")  # what becomes of a folder says nothing of results
    part = {key: everything[key] for key in KEYS if key not in beside}
    for name in _UNREAD:
        group, _, key = name.partition(".")
        if key:
            part[group].pop(key, None)
    return part
