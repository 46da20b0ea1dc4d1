"""The results of one configuration without a model: their schema, and reading them back.

In: the declared columns of the images. Out: their aggregates, which carry the names and definitions
of `EvaluationResults`; there is no list of samples, since there may be millions. Knows nothing
about consoles or configurations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.results.codec import BESIDE
from tierexp.results.files import read_results
from tierexp.results.metrics import Metric, aggregated, declared
from tierexp.results.schema import Failure, Provenance, ReadColumns, TierRange

KIND = "model_free"
SCHEMA_VERSION = 2
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
class ModelFreeResults(ReadColumns):
    """One configuration's results; aggregates are over the `num_samples` measured samples, and
    None where there are none. `num_failed` samples come on top. A sample is an image, or a
    question where the data set asks questions. Standard deviations are those of the population.
    """

    kind: str
    schema_version: int
    tier: str
    tier_range: TierRange
    selected_crops_distribution: dict[int, int]
    aspect_ratio_mismatch_histogram: Histogram
    num_samples: int
    num_failed: int
    resize_to_fill: bool
    dataset: str
    model: str
    images_per_second: float | None
    failures: tuple[Failure, ...]
    provenance: Provenance
    metrics: tuple[Metric, ...]
    aggregates: dict[str, float | None] = field(default_factory=dict, metadata=BESIDE)

    @property
    def file_name(self) -> str:
        """`<task>_tier-<tier>_crops<int(mean)>_model-none.json`, with `_family-<family>` before the
        model where that is not Molmo.
        """
        mean = self.aggregates["selected_crops_mean"]
        crops = "none" if mean is None else int(mean)
        task = self.dataset.replace("_", "-")
        stand_in, _, family = self.model.partition("-")
        whose = f"_family-{family}" if family else ""
        name = f"{task}_tier-{self.tier}_crops{crops}{whose}_model-{stand_in}"
        return re.sub(r"[^\w.-]", "-", name) + ".json"


def aggregate_columns(
    metrics: Sequence[Metric],
    columns: Mapping[str, NDArray[Any]],
    failures: tuple[Failure, ...],
    facts: ModelFreeFacts,
    seconds: float,
    provenance: Provenance,
) -> ModelFreeResults:
    """The results of a run from what was measured of its images.

    Args:
        metrics: Metrics of the columns, those of every run among them.
        columns: (N,) each, by name, in the data set's order.
        failures: Images without a size.
        facts: What holds for every image.
        seconds: Measuring took, reading sizes excluded.
        provenance: Where the results come from.
    """
    crops, occurrences = np.unique(columns["selected_crops"], return_counts=True)
    count = int(occurrences.sum())
    return ModelFreeResults(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        tier=facts.tier,
        tier_range=facts.tier_range,
        selected_crops_distribution=dict(zip(crops.tolist(), occurrences.tolist(), strict=True)),
        aspect_ratio_mismatch_histogram=histogram(columns["aspect_ratio_mismatch"], MISMATCH_EDGES),
        num_samples=count,
        num_failed=len(failures),
        resize_to_fill=facts.resize_to_fill,
        dataset=facts.dataset,
        model=facts.model,
        images_per_second=count / seconds if count else None,
        failures=failures,
        provenance=provenance,
        metrics=declared(metrics),
        aggregates=aggregated(metrics, columns),
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
        path: Path of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema, or lacks a field.
    """
    results = read_results(ModelFreeResults, SCHEMA_VERSION, path)
    if results.kind != KIND:
        raise DataError(f"{path} holds results of the kind {results.kind!r}, not {KIND!r}")
    return results
