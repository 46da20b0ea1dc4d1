"""The results of one configuration without a model: their schema, and reading them back.

In: the columns of what was measured. Out: their aggregates, which carry the names and definitions
of `EvaluationResults`; there is no list of samples, since there may be millions. Knows nothing
about consoles or configurations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.data.size_columns import ImageColumns
from tierexp.errors import DataError
from tierexp.results.schema import Failure, Provenance, TierRange, read_results

KIND = "model_free"
SCHEMA_VERSION = 1
MISMATCH_EDGES = tuple(step / 20 for step in range(21))
"""0, 0.05, ... 1: the same bins in every file, so that histograms can be added and compared; the
limits that mismatches are held against (0.2, 0.3, 0.4, 0.6) are edges."""


@dataclass(frozen=True)
class Histogram:
    """How many values lie where.

    Args:
        edges: E numbers, ascending, the first of them the smallest value there can be.
        counts: E numbers: count i is that of the values v with edges[i] <= v < edges[i + 1], the
            last one that of the values from the last edge on.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ModelFreeFacts:
    """What holds for every image of a run.

    Args:
        dataset: Name of the data set.
        tier: Name of the tier.
        tier_range: Crop counts it may select.
        resize_to_fill: Whether the crops were filled.
        model: What stands for a model: `none`, and a family where it is not Molmo.
    """

    dataset: str
    tier: str
    tier_range: TierRange
    resize_to_fill: bool
    model: str


@dataclass(frozen=True)
class ModelFreeResults:
    """One configuration's results; aggregates are over the `num_samples` measured samples, and
    None where there are none. `num_failed` samples come on top. A sample is an image, or a
    question where the data set asks questions. Standard deviations are those of the population.
    """

    kind: str
    schema_version: int
    tier: str
    tier_range: TierRange
    selected_crops_distribution: dict[int, int]
    selected_crops_mean: float | None
    selected_crops_std: float | None
    selected_vision_tokens_mean: float | None
    selected_vision_tokens_std: float | None
    actual_vision_tokens_mean: float | None
    utilization_mean: float | None
    aspect_ratio_mismatch_mean: float | None
    aspect_ratio_mismatch_std: float | None
    aspect_ratio_mismatch_p95: float | None
    aspect_ratio_mismatch_histogram: Histogram
    num_samples: int
    num_failed: int
    resize_to_fill: bool
    dataset: str
    model: str
    llm_vision_tokens_mean: float | None
    crop_utilization_mean: float | None
    content_kept_mean: float | None
    padding_fraction_mean: float | None
    images_per_second: float | None
    failures: tuple[Failure, ...]
    provenance: Provenance

    @property
    def file_name(self) -> str:
        """`<task>_tier-<tier>_crops<int(mean)>_model-none.json`, with `_family-<family>` before the
        model where that is not Molmo.
        """
        mean = self.selected_crops_mean
        crops = "none" if mean is None else int(mean)
        task = self.dataset.replace("_", "-")
        stand_in, _, family = self.model.partition("-")
        whose = f"_family-{family}" if family else ""
        name = f"{task}_tier-{self.tier}_crops{crops}{whose}_model-{stand_in}"
        return re.sub(r"[^\w.-]", "-", name) + ".json"


def aggregate_columns(
    columns: ImageColumns,
    failures: tuple[Failure, ...],
    facts: ModelFreeFacts,
    seconds: float,
    provenance: Provenance,
) -> ModelFreeResults:
    """The results of a run from what was measured of its images.

    Args:
        columns: In the data set's order.
        failures: Images without a size.
        facts: What holds for every image.
        seconds: Measuring took, reading sizes excluded.
        provenance: Where the results come from.
    """
    selection = columns.selection
    count = len(selection.crops)

    def mean(column: NDArray[Any] | None) -> float | None:
        return float(column.mean()) if count and column is not None else None

    def std(column: NDArray[Any]) -> float | None:
        return float(column.std()) if count else None

    crops, occurrences = np.unique(selection.crops, return_counts=True)
    return ModelFreeResults(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        tier=facts.tier,
        tier_range=facts.tier_range,
        selected_crops_distribution=dict(zip(crops.tolist(), occurrences.tolist(), strict=True)),
        selected_crops_mean=mean(selection.crops),
        selected_crops_std=std(selection.crops),
        selected_vision_tokens_mean=mean(columns.selected_vision_tokens),
        selected_vision_tokens_std=std(columns.selected_vision_tokens),
        actual_vision_tokens_mean=mean(columns.actual_vision_tokens),
        utilization_mean=mean(columns.utilization),
        aspect_ratio_mismatch_mean=mean(selection.mismatch),
        aspect_ratio_mismatch_std=std(selection.mismatch),
        aspect_ratio_mismatch_p95=float(np.percentile(selection.mismatch, 95)) if count else None,
        aspect_ratio_mismatch_histogram=histogram(selection.mismatch, MISMATCH_EDGES),
        num_samples=count,
        num_failed=len(failures),
        resize_to_fill=facts.resize_to_fill,
        dataset=facts.dataset,
        model=facts.model,
        llm_vision_tokens_mean=mean(columns.llm_vision_tokens),
        crop_utilization_mean=mean(columns.crop_utilization),
        content_kept_mean=mean(columns.content_kept),
        padding_fraction_mean=mean(columns.padding_fraction),
        images_per_second=count / seconds if count else None,
        failures=failures,
        provenance=provenance,
    )


def histogram(values: NDArray[np.float64], edges: tuple[float, ...]) -> Histogram:
    """Count values by bins.

    Args:
        values: (N,), none below the first edge.
        edges: Ascending.
    """
    bins = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(bins, minlength=len(edges))
    return Histogram(edges, tuple(counts.tolist()))


def load_model_free_results(path: Path | str) -> ModelFreeResults:
    """Read what `write_results` wrote of a run without a model.

    Args:
        path: Of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema, or lacks a field.
    """
    results = read_results(ModelFreeResults, SCHEMA_VERSION, path)
    if results.kind != KIND:
        raise DataError(f"{path} holds results of the kind {results.kind!r}, not {KIND!r}")
    return results
