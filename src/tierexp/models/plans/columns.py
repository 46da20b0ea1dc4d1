"""What a tier, or a family's own rule, does to many images in a family other than Molmo, from sizes
alone.

In: heights and widths, a tier in the family or none. Out: the same columns as
`tierexp.imaging.columns`. A tier brings an image to the size of its grid, so that every token shows
a part of it. What a family's own rule pads is not known here: those columns are not a number.
"""

from __future__ import annotations

import numpy as np

from tierexp.imaging.measurements import ImageMeasurements, ManyImages
from tierexp.imaging.preprocessing import Measured
from tierexp.models.plans.plan import Preset, Sides
from tierexp.models.plans.token_tiers import FamilyTier
from tierexp.tiers.aspects import mismatches


def columns_in_tier(
    heights: Sides, widths: Sides, compiled: FamilyTier, preset: Preset, fills: bool
) -> ManyImages:
    """What becomes of many images whose grids a tier holds to a range of tokens.

    Args:
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        compiled: The tier in the family.
        preset: The family.
        fills: Whether an image fills the size of its grid, or is stretched to it.
    """
    planned = compiled.plan_many(heights, widths)
    choices = planned.choices
    grids = compiled.grids[planned.chosen]
    budgets = np.array([choice.budget for choice in choices], np.int64)[planned.chosen]
    read = np.array([choice.plan.vision_tokens for choice in choices], np.int64)[planned.chosen]
    full = np.ones(len(budgets))
    return ImageMeasurements(
        height=heights,
        width=widths,
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
        content_kept=planned.content_kept if fills else full,
        padding_fraction=0 * full,
    )


def columns_of_own_rule(heights: Sides, widths: Sides, preset: Preset) -> Measured:
    """What becomes of many images by a family's own rule.

    Args:
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        preset: The family.
    """
    geometry = preset.geometry
    plans = geometry.plan_many(heights, widths)
    taken = ~plans.refused
    refused = {
        place: f"{preset.family}'s processor refuses images of {widths[place]} x {heights[place]} "
        "pixels"
        for place in np.flatnonzero(plans.refused).tolist()
    }
    heights, widths = heights[taken], widths[taken]
    grids = plans.grids[taken]
    mismatch = mismatches(grids, *geometry.aspects(heights, widths))
    budgets, unknown = geometry.budgets(plans)[taken], np.full(len(grids), np.nan)
    columns = ImageMeasurements(
        height=heights,
        width=widths,
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
    return Measured(columns, refused)


def _crops(
    grids: np.ndarray[tuple[int, int], np.dtype[np.int64]], preset: Preset
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) crops: an image of cells is one."""
    if preset.geometry.unit == "cell":
        return np.ones(len(grids), np.int64)
    return grids[:, 0] * grids[:, 1]
