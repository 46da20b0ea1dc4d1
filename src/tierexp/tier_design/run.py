"""One search for a tier, from its configuration to its files.

In: the composed configuration. Out: the frontier as JSON and CSV, the chosen tier as a YAML file
that `eval.py` takes, a summary. Imports no torch.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import build, refuse_unknown_keys, resolved
from tierexp.config.checks import choice, flag, refuse_overwriting, text, whole_number
from tierexp.config.settings import refuse_unread
from tierexp.config.written import written_overrides
from tierexp.data.sizes import ImageSizes
from tierexp.data.sizes_setup import read_image_sizes, require_a_size
from tierexp.errors import ConfigError
from tierexp.results.files import write_results, write_text
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import Failure
from tierexp.tier_design.classes import Objective, divide, losses
from tierexp.tier_design.results import (
    KIND,
    SCHEMA_VERSION,
    FrontierPoint,
    TierDesign,
    TierFigures,
    frontier_csv,
    tier_yaml,
)
from tierexp.tier_design.search import count_tiers, find_frontier
from tierexp.tier_design.summary import print_design
from tierexp.tiers.files import load_tier, shipped_tiers
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import select_crops_many
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier

KEYS = (
    "threshold", "data", "objective", "budget", "min_crops", "max_crops", "name", "overwrite",
    "output_dir",
)  # fmt: skip
"""The top-level keys of `conf/optimize_tiers.yaml`."""
MOST_CROPS = 20
"""4.2 million tiers, and half a second; every count more doubles both."""
_UNREAD = ("data.batch_size", "data.num_workers")


@dataclass(frozen=True)
class DesignSetup:
    """Everything a search is made of.

    Args:
        objective: What is to become small on average.
        budget: Most vision tokens on average, the global view's included.
        counts: The crop counts a tier may have.
        name: Of the tier that is written.
        threshold: When a tier's preferred counts suffice.
        geometry: Of the crops: Molmo's.
        sizes: Of the images.
    """

    objective: Objective
    budget: int
    counts: range
    name: str
    threshold: Threshold
    geometry: CropGeometry
    sizes: ImageSizes


def optimize_tiers(config: DictConfig, output_dir: Path) -> float:
    """Search, write, print.

    Args:
        config: As composed from `conf/optimize_tiers.yaml`.
        output_dir: Where the files go.

    Returns:
        The chosen tier's objective.

    Raises:
        TierexpError: A setting or a data file that cannot work.
        SystemExit: With code 1 where no image has a size.
    """
    file = output_dir / "tier_design.json"
    refuse_overwriting([file], flag("overwrite", config.overwrite))
    setup = read_design_setup(config)
    require_a_size(setup.sizes)
    classes = divide(setup.sizes, setup.counts, setup.objective, setup.threshold, setup.geometry)
    samples = len(setup.sizes.heights)
    frontier = tuple(
        FrontierPoint(
            min_crops=found.min_crops,
            max_crops=found.max_crops,
            preferred_crops=found.preferred_crops,
            # Whole numbers until the one division: a budget is kept exactly or not at all.
            selected_vision_tokens_mean=setup.geometry.tokens_per_crop
            * (found.crops + samples)
            / samples,
            objective_mean=found.loss / samples,
        )
        for found in find_frontier(classes)
    )
    point = _best_within(frontier, setup.budget)
    assert point is not None  # the fewest crops alone are a tier, and the budget pays for them
    tier = _as_tier(point, setup)
    shipped = [
        _figures(load_tier(name), setup, frontier) for name in shipped_tiers() if name != "fixed"
    ]
    design = TierDesign(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        dataset=setup.sizes.name,
        objective=setup.objective,
        budget=setup.budget,
        num_samples=samples,
        num_failed=len(setup.sizes.unreadable),
        num_classes=len(classes.images),
        num_tiers=count_tiers(len(setup.counts)),
        chosen=_figures(tier, setup, frontier),
        frontier=frontier,
        shipped=tuple(sorted(shipped, key=lambda figures: figures.selected_vision_tokens_mean)),
        failures=tuple(Failure(name, why) for name, why in setup.sizes.unreadable.items()),
        provenance=gather_provenance(_read_part(config), seed=None, device="cpu"),
    )
    write_results(design, file)
    write_text(frontier_csv(design), output_dir / "frontier.csv")
    write_text(tier_yaml(tier, _origin(setup)), output_dir / "tier" / f"{tier.name}.yaml")
    steps = [setup.geometry.selected_vision_tokens(crops) for crops in setup.counts]
    print_design(design, steps, _threshold_overrides(), output_dir, Console())
    return point.objective_mean


def read_design_setup(config: DictConfig) -> DesignSetup:
    """Check a configuration and build what it describes; reads the sizes, last of all.

    Args:
        config: As composed from `conf/optimize_tiers.yaml`.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    refuse_unknown_keys(config, KEYS)
    refuse_unread(written_overrides(), _UNREAD, "leave it out: sizes suffice, nothing is loaded")
    values = resolved(config)
    geometry = CropGeometry()
    choice("objective", values["objective"], get_args(Objective))
    low = whole_number("min_crops", values["min_crops"], 1, MOST_CROPS)
    high = whole_number("max_crops", values["max_crops"], low, MOST_CROPS)
    budget = whole_number("budget", values["budget"], geometry.selected_vision_tokens(low))
    name = text("name", values["name"])
    if not re.fullmatch(r"\w[\w-]*", name, re.ASCII):
        raise ConfigError("name", name, "letters, digits, _ and -: a file and an option bear it")
    if name in shipped_tiers():
        raise ConfigError("name", name, "another one: tier=... would find the shipped tier")
    threshold = build(config, "threshold")
    sizes = read_image_sizes(config, "design a tier for")
    return DesignSetup(
        values["objective"], budget, range(low, high + 1), name, threshold, geometry, sizes
    )


def _best_within(frontier: tuple[FrontierPoint, ...], tokens: float) -> FrontierPoint | None:
    index = bisect_right(frontier, tokens, key=lambda point: point.selected_vision_tokens_mean)
    return frontier[index - 1] if index else None


def _as_tier(point: FrontierPoint, setup: DesignSetup) -> Tier:
    return Tier(
        name=setup.name,
        min_crops=point.min_crops,
        max_crops=point.max_crops,
        preferred_crops=point.preferred_crops,
        typical_vision_tokens=round(point.selected_vision_tokens_mean),
        description=f"least {setup.objective.replace('_', ' ')} within {setup.budget} tokens",
    )


def _figures(
    policy: CropRule, setup: DesignSetup, frontier: tuple[FrontierPoint, ...]
) -> TierFigures:
    """Selected and measured as an evaluation does it, image by image, not as the search did."""
    heights, widths = setup.sizes.heights, setup.sizes.widths
    selection = select_crops_many(policy, heights, widths, setup.geometry, setup.threshold)
    lost = losses("content_loss", heights, widths, selection.tilings, setup.geometry)
    crops = int(selection.crops.sum()) + len(heights)  # the global view is one more
    tokens = setup.geometry.tokens_per_crop * crops / len(heights)
    return TierFigures(
        tier=policy.name,
        selected_vision_tokens_mean=tokens,
        aspect_ratio_mismatch_mean=float(selection.mismatch.mean()),
        content_kept_mean=float(1 - lost.mean()),
        best=_best_within(frontier, tokens),
    )


def _origin(setup: DesignSetup) -> str:
    return (
        f"Of all tiers within {setup.counts[0]} to {setup.counts[-1]} crops the one with the least "
        f"{setup.objective.replace('_', ' ')} for {len(setup.sizes.heights)} sizes of "
        f"{setup.sizes.name!a}."
    )


def _threshold_overrides() -> dict[str, object]:
    """The overrides that an evaluation has to repeat."""
    written = written_overrides()
    return {k: v for k, v in written.items() if k.partition(".")[0] == "threshold"}


def _read_part(config: DictConfig) -> dict[str, object]:
    """The configuration, resolved, without what nothing reads."""
    part = resolved(config)
    for name in _UNREAD:
        group, _, key = name.partition(".")
        part[group].pop(key, None)
    return part
