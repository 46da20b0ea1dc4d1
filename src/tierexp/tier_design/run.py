"""One search for a tier, from its configuration to its files.

In: the composed configuration. Out: the frontier as JSON and CSV, the chosen tier as a YAML file
that `eval.py` takes, a summary. Imports no torch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.checks import flag, refuse_overwriting
from tierexp.config.written import written_overrides
from tierexp.data.sizes import ImageSizes
from tierexp.data.sizes_setup import require_a_size
from tierexp.errors import ConfigError
from tierexp.imaging.resize import Resize
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing
from tierexp.models.plans.token_tiers import UnreachableTierError
from tierexp.results.files import write_results, write_text
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import Failure
from tierexp.tier_design.classes import distinct_sizes, divide, losses
from tierexp.tier_design.family_search import find_family_frontier
from tierexp.tier_design.results import (
    KIND,
    SCHEMA_VERSION,
    FrontierPoint,
    TierDesign,
    TierMetrics,
    frontier_csv,
    tier_yaml,
)
from tierexp.tier_design.search import count_tiers, find_frontier
from tierexp.tier_design.setup import DesignSetup, read_design_setup, read_part
from tierexp.tier_design.summary import print_design
from tierexp.tiers.files import load_tier, shipped_tiers
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import select_crops_many
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier


@dataclass(frozen=True)
class Found:
    """What a search comes back with.

    Args:
        frontier: Ascending in tokens.
        num_classes: Num classes of sizes, as they were gathered.
        num_tiers: That were compared.
    """

    frontier: tuple[FrontierPoint, ...]
    num_classes: int
    num_tiers: int


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
    found = _search(setup) if setup.preset is None else _search_family(setup, setup.preset)
    frontier = found.frontier
    point = _best_within(frontier, setup.budget)
    if point is None:
        least = math.ceil(frontier[0].selected_vision_tokens_mean)
        raise ConfigError("budget", setup.budget, f"at least {least}: {setup.family} has no less")
    tier = _as_tier(point, setup)
    shipped, unreachable = _shipped(setup, frontier)
    design = TierDesign(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        dataset=setup.sizes.name,
        objective=setup.objective,
        budget=setup.budget,
        num_samples=len(setup.sizes.heights),
        num_failed=len(setup.sizes.unreadable),
        num_classes=found.num_classes,
        num_tiers=found.num_tiers,
        chosen=_metrics(tier, setup, frontier),
        frontier=frontier,
        shipped=tuple(sorted(shipped, key=lambda metrics: metrics.selected_vision_tokens_mean)),
        failures=tuple(Failure(name, why) for name, why in setup.sizes.unreadable.items()),
        provenance=gather_provenance(read_part(config), seed=None, device="cpu"),
        family=setup.family,
        unreachable=unreachable,
    )
    write_results(design, file)
    write_text(frontier_csv(design), output_dir / "frontier.csv")
    write_text(tier_yaml(tier, _origin(setup)), output_dir / "tier" / f"{tier.name}.yaml")
    steps = [setup.geometry.selected_vision_tokens(crops) for crops in setup.counts]
    print_design(design, steps, _overrides(setup), output_dir, Console())
    return point.objective_mean


def _search(setup: DesignSetup) -> Found:
    """Molmo's tiers."""
    classes = divide(setup.sizes, setup.counts, setup.objective, setup.threshold, setup.geometry)
    samples = len(setup.sizes.heights)
    frontier = tuple(
        FrontierPoint(
            min_crops=found.min_crops,
            max_crops=found.max_crops,
            preferred_crops=found.preferred_crops,
            # Whole numbers until the one division: a budget is kept exactly or not at all.
            selected_vision_tokens_mean=_tokens(setup.geometry, found.crops, samples),
            objective_mean=found.loss / samples,
        )
        for found in find_frontier(classes)
    )
    return Found(frontier, len(classes.images), count_tiers(len(setup.counts)))


def _tokens(geometry: CropGeometry, crops: int, images: int) -> float:
    """Mean of the budgets of images that have so many crops together."""
    views = crops + images * geometry.global_views
    return geometry.tokens_per_crop * views / images


def _search_family(setup: DesignSetup, preset: Preset) -> Found:
    """Another family's.

    Raises:
        ConfigError: It makes no grid within the crop counts.
    """
    sizes, samples = setup.sizes, len(setup.sizes.heights)
    try:
        designs, tiers = find_family_frontier(sizes, setup.counts, setup.objective, preset.geometry)
    except UnreachableTierError as error:
        counts = f"{setup.counts[0]} to {setup.counts[-1]}"
        allowed = f"counts that {preset.family} can reach: it has {error}"
        raise ConfigError("min_crops and max_crops", counts, allowed) from None
    frontier = tuple(
        FrontierPoint(
            min_crops=design.min_crops,
            max_crops=design.max_crops,
            preferred_crops=(design.typical_crops,),
            selected_vision_tokens_mean=design.tokens / samples,
            objective_mean=design.loss / samples,
        )
        for design in designs
    )
    return Found(frontier, len(distinct_sizes(sizes)[0]), tiers)


def _best_within(frontier: tuple[FrontierPoint, ...], tokens: float) -> FrontierPoint | None:
    index = bisect_right(frontier, tokens, key=lambda point: point.selected_vision_tokens_mean)
    return frontier[index - 1] if index else None


def _as_tier(point: FrontierPoint, setup: DesignSetup) -> Tier:
    typical = point.selected_vision_tokens_mean
    if setup.preset is not None:  # there ties go to it
        typical = setup.geometry.selected_vision_tokens(*point.preferred_crops)
    return Tier(
        name=setup.name,
        min_crops=point.min_crops,
        max_crops=point.max_crops,
        preferred_crops=point.preferred_crops,
        typical_vision_tokens=round(typical),
        description=f"least {setup.objective.replace('_', ' ')} within {setup.budget} tokens",
    )


def _shipped(
    setup: DesignSetup, frontier: tuple[FrontierPoint, ...]
) -> tuple[list[TierMetrics], dict[str, str]]:
    """The tiers and baselines of `conf/tier`, and why some have no metrics in a family."""
    metrics, unreachable = [], {}
    for name in shipped_tiers():
        if name == "fixed":
            continue
        try:
            metrics.append(_metrics(load_tier(name), setup, frontier))
        except UnreachableTierError as error:
            unreachable[name] = str(error)
    return metrics, unreachable


def _metrics(
    policy: CropRule, setup: DesignSetup, frontier: tuple[FrontierPoint, ...]
) -> TierMetrics:
    """Selected and measured as an evaluation does it, image by image, not as the search did.

    Raises:
        UnreachableTierError: A tier without a grid in the family, or sizes that its own rule
            refuses.
    """
    if setup.preset is not None:
        return _metrics_in_family(policy, setup.sizes, setup.preset, frontier)
    heights, widths = setup.sizes.heights, setup.sizes.widths
    selection = select_crops_many(policy, heights, widths, setup.geometry, setup.threshold)
    lost = losses("content_loss", heights, widths, selection.tilings, setup.geometry)
    tokens = _tokens(setup.geometry, int(selection.crops.sum()), len(heights))
    return TierMetrics(
        tier=policy.name,
        selected_vision_tokens_mean=tokens,
        aspect_ratio_mismatch_mean=float(selection.mismatch.mean()),
        content_kept_mean=float(1 - lost.mean()),
        best=_best_within(frontier, tokens),
    )


def _metrics_in_family(
    rule: CropRule, sizes: ImageSizes, preset: Preset, frontier: tuple[FrontierPoint, ...]
) -> TierMetrics:
    how = FamilyPreprocessing.of(preset, rule, Threshold(), Resize(crops="fill"))
    how.within(rule)
    found = how.measure(sizes.heights, sizes.widths)
    if found.refused:
        raise UnreachableTierError(f"no grid of its own for {len(found.refused)} of the sizes")
    measured = found.images
    tokens = float(measured.selected_vision_tokens.mean())
    return TierMetrics(
        tier=rule.name,
        selected_vision_tokens_mean=tokens,
        aspect_ratio_mismatch_mean=float(measured.mismatch.mean()),
        content_kept_mean=float(measured.content_kept.mean()),
        best=_best_within(frontier, tokens),
    )


def _origin(setup: DesignSetup) -> str:
    of = "" if setup.preset is None else f" in {setup.family}"
    return (
        f"Of all tiers within {setup.counts[0]} to {setup.counts[-1]} crops the one with the least "
        f"{setup.objective.replace('_', ' ')} for {len(setup.sizes.heights)} sizes of "
        f"{setup.sizes.name!a}{of}."
    )


def _overrides(setup: DesignSetup) -> dict[str, object]:
    """The overrides that an evaluation has to repeat."""
    if setup.preset is not None:
        return {"model": "none", "model.family": setup.family}
    written = written_overrides()
    return {k: v for k, v in written.items() if k.partition(".")[0] == "threshold"}
