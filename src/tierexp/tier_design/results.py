"""What a search for tiers found: its schema, its files, and the tier as a file of `conf/tier`.

In: the frontier, the chosen tier, the tiers beside it. Out: text that other programs read. Knows
nothing about consoles, nor how anything was found.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from tierexp.results.schema import Failure, Provenance
from tierexp.tier_design.classes import Objective
from tierexp.tiers.tier import Tier

KIND = "tier_design"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FrontierPoint:
    """A tier that no other one beats: none within the searched counts has a smaller objective for
    as few tokens.

    Args:
        min_crops: Fewest crops a selection may have.
        max_crops: Most crops a selection may have.
        preferred_crops: Counts considered first, ascending; in a family other than Molmo the one
            whose tokens ties go to.
        selected_vision_tokens_mean: Over all images.
        objective_mean: Over all images: the aspect ratio mismatch, or the content lost.
    """

    min_crops: int
    max_crops: int
    preferred_crops: tuple[int, ...]
    selected_vision_tokens_mean: float
    objective_mean: float


@dataclass(frozen=True)
class TierMetrics:
    """What one tier does to the images; names and definitions are those of an evaluation's results
    with `resize=fill`.

    Args:
        tier: Its name.
        selected_vision_tokens_mean: Over all images.
        aspect_ratio_mismatch_mean: Over all images.
        content_kept_mean: Over all images.
        best: The point of the frontier that costs no more tokens; None where all cost more.
    """

    tier: str
    selected_vision_tokens_mean: float
    aspect_ratio_mismatch_mean: float
    content_kept_mean: float
    best: FrontierPoint | None


@dataclass(frozen=True)
class TierDesign:
    """A search and what came of it.

    Args:
        kind: Always `tier_design`.
        schema_version: Schema version of these fields.
        dataset: Name of the data set.
        objective: What was to become small on average.
        budget: Most vision tokens on average.
        num_samples: Image sizes; a sample is an image, or a question where the data set asks them.
        num_failed: Samples on top that have no readable size.
        num_classes: Num classes of sizes that no tier tells apart; in a family other than Molmo, of
            sizes.
        num_tiers: That were compared, all there are within the counts.
        chosen: The tier within the budget.
        frontier: Ascending in tokens.
        shipped: The tiers and baselines of `conf/tier`, ascending in tokens.
        failures: Failures of the samples without a size.
        provenance: Where the metrics come from.
        family: Whose crops or cells.
        unreachable: Why tiers of `conf/tier` have no metrics, by name.
    """

    kind: str
    schema_version: int
    dataset: str
    objective: Objective
    budget: int
    num_samples: int
    num_failed: int
    num_classes: int
    num_tiers: int
    chosen: TierMetrics
    frontier: tuple[FrontierPoint, ...]
    shipped: tuple[TierMetrics, ...]
    failures: tuple[Failure, ...]
    provenance: Provenance
    family: str = "molmo"
    unreachable: dict[str, str] = field(default_factory=dict)


def frontier_csv(design: TierDesign) -> str:
    """The frontier as a table with a header; preferred counts are separated by spaces."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["selected_vision_tokens_mean", f"{design.objective}_mean", "min_crops", "max_crops",
         "preferred_crops"]
    )  # fmt: skip
    for point in design.frontier:
        table.writerow(
            [point.selected_vision_tokens_mean, point.objective_mean, point.min_crops,
             point.max_crops, " ".join(map(str, point.preferred_crops))]
        )  # fmt: skip
    return text.getvalue()


def tier_yaml(tier: Tier, comment: str) -> str:
    """A tier in the form of `conf/tier/medium.yaml`.

    Args:
        tier: Its name and description are plain words.
        comment: One line about where it comes from.
    """
    return (
        f"# {comment}\n"
        "_target_: tierexp.tiers.tier.Tier\n"
        f'name: "{tier.name}"\n'
        f"min_crops: {tier.min_crops}\n"
        f"max_crops: {tier.max_crops}\n"
        f"preferred_crops: [{', '.join(map(str, tier.preferred_crops))}]\n"
        f"typical_vision_tokens: {tier.typical_vision_tokens}\n"
        f"description: {tier.description}\n"
    )
