"""What a tier, or a family's own rule, does to many images in a family other than Molmo: the
columns of `size_columns`, from sizes alone.

In: heights and widths, a rule, a family. Out: the same figures. A tier brings an image to the size
of its grid, so that every token shows a part of it. What a family's own rule pads is not known
here: those columns are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tierexp.data.sizes import ImageSizes
from tierexp.errors import ConfigError
from tierexp.imaging.measurements import ImageMeasurements, ManyImages
from tierexp.imaging.resize import Resize
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.token_tiers import UnreachableTierError, family_tier
from tierexp.tiers.aspects import mismatches
from tierexp.tiers.native import NativeRule
from tierexp.tiers.rule import CropRule
from tierexp.tiers.tier import Tier


def measure_family(
    sizes: ImageSizes, rule: CropRule, resize: Resize, preset: Preset
) -> tuple[ManyImages, ImageSizes]:
    """Select a grid for every image and say what comes of it.

    Args:
        sizes: Of the images.
        rule: A tier, or `NativeRule` for the family's own.
        resize: How an image meets the size of its grid.
        preset: The family.

    Returns:
        The columns, and the sizes that they are of: images that the family's processor refuses are
        among the unreadable ones.

    Raises:
        ConfigError: The family makes no grid within the tier, the rule is neither, or images are to
            be padded, which no family leaves to its user.
    """
    if isinstance(rule, NativeRule):
        return _own(sizes, preset)
    if not isinstance(rule, Tier):
        raise ConfigError("tier", rule.name, f"a tier or native with model.family={preset.family}")
    if resize.crops == "letterbox":
        raise ConfigError("resize.crops", resize.crops, "fill or stretch with a model.family")
    return _in_tier(sizes, rule, resize, preset), sizes


def _in_tier(sizes: ImageSizes, tier: Tier, resize: Resize, preset: Preset) -> ManyImages:
    try:
        compiled = family_tier(preset.geometry, tier)
    except UnreachableTierError as error:
        raise ConfigError("tier", tier.name, f"{preset.family} has {error}") from None
    planned = compiled.plan_many(sizes.heights, sizes.widths)
    choices = planned.choices
    grids = np.array([choice.grid for choice in choices], np.int64)[planned.chosen]
    budgets = np.array([choice.budget for choice in choices], np.int64)[planned.chosen]
    read = np.array([choice.plan.vision_tokens for choice in choices], np.int64)[planned.chosen]
    full = np.ones(len(budgets))
    return ImageMeasurements(
        height=sizes.heights,
        width=sizes.widths,
        rows=grids[:, 0],
        cols=grids[:, 1],
        crops=_crops(grids, preset),
        mismatch=planned.mismatch,
        selected_vision_tokens=budgets,
        selected_crop_tokens=budgets,
        actual_vision_tokens=budgets,
        actual_crop_tokens=budgets,
        llm_vision_tokens=read,
        unreduced_vision_tokens=read,
        content_kept=planned.content_kept if resize.crops == "fill" else full,
        padding_fraction=0 * full,
    )


def _own(sizes: ImageSizes, preset: Preset) -> tuple[ManyImages, ImageSizes]:
    geometry = preset.geometry
    plans = geometry.plan_many(sizes.heights, sizes.widths)
    taken = ~plans.refused
    kept = replace(
        sizes,
        heights=sizes.heights[taken],
        widths=sizes.widths[taken],
        unreadable={**sizes.unreadable, **_refused(sizes, taken, preset)},
    )
    grids = plans.grids[taken]
    mismatch = mismatches(grids, *geometry.aspects(kept.heights, kept.widths))
    budgets, unknown = geometry.budgets(plans)[taken], np.full(len(grids), np.nan)
    columns = ImageMeasurements(
        height=kept.heights,
        width=kept.widths,
        rows=grids[:, 0],
        cols=grids[:, 1],
        crops=_crops(grids, preset),
        mismatch=mismatch,
        selected_vision_tokens=budgets,
        selected_crop_tokens=budgets,
        actual_vision_tokens=unknown,
        actual_crop_tokens=unknown,
        llm_vision_tokens=plans.vision_tokens[taken],
        unreduced_vision_tokens=plans.vision_tokens[taken],
        content_kept=np.ones(len(grids)),
        padding_fraction=unknown,
    )
    return columns, kept


def _crops(
    grids: np.ndarray[tuple[int, int], np.dtype[np.int64]], preset: Preset
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) crops: an image of cells is one."""
    if preset.geometry.unit == "cell":
        return np.ones(len(grids), np.int64)
    return grids[:, 0] * grids[:, 1]


def _refused(
    sizes: ImageSizes, taken: np.ndarray[tuple[int], np.dtype[np.bool_]], preset: Preset
) -> Mapping[str, str]:
    """Images without a plan, by their place in the data, from 1 on."""
    return {
        f"image {index + 1}": f"{preset.family}'s processor refuses images of "
        f"{sizes.widths[index]} x {sizes.heights[index]} pixels"
        for index in np.flatnonzero(~taken).tolist()
    }
