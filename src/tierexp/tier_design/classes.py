"""Image sizes gathered into classes that no tier tells apart.

In: the sizes of any number of images, a range of crop counts, what is to become small. Out: some
hundred classes. All images of a class rank the crop counts alike, so every tier gives all of them
the same tiling; what differs between them is summed once for every count. Nothing is sampled or
rounded: mismatches are ranked as rational numbers, as `SelectionTable` does.

Knows nothing about tiers, nor about budgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tierexp.data.sizes import ImageSizes
from tierexp.imaging.columns import by_tiling
from tierexp.imaging.placements import place_many
from tierexp.tiers.aspects import inner_aspects, mismatches
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.table import Breakpoints, ExactMetric, candidate_tilings
from tierexp.tiers.threshold import Threshold

Objective = Literal["mismatch", "content_loss"]
"""What is to become small on average: the recorded mismatch of aspect ratios, or the fraction of an
image's area that filling the canvas crops away (1 - `content_kept` of a run with `resize=fill`)."""


@dataclass(frozen=True)
class SizeClasses:
    """K classes of images, and what each of M consecutive crop counts would do to them.

    Args:
        min_crops: The first of the crop counts.
        images: (K,) int64: how many.
        rank: (K, M) int64: of the mismatch of each count's best tiling, by the threshold's metric;
            0 is the smallest, equal ranks are exact ties.
        good: (K, M) bool: whether that mismatch is below the threshold.
        loss: (K, M) float64: the objective with that tiling, summed over the images.
    """

    min_crops: int
    images: NDArray[np.int64]
    rank: NDArray[np.int64]
    good: NDArray[np.bool_]
    loss: NDArray[np.float64]


def losses(
    objective: Objective,
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
    tilings: NDArray[np.int64],
    geometry: CropGeometry,
) -> NDArray[np.float64]:
    """(N,): the objective of images that get these tilings.

    Args:
        objective: What is to become small.
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        tilings: (N, 2), rows and columns.
        geometry: Geometry of the crops.
    """
    if objective == "mismatch":
        return mismatches(tilings, *inner_aspects(heights, widths, geometry))
    lost = np.empty(len(heights))
    for tiling, members in by_tiling(tilings):
        canvas = geometry.canvas_size(tiling)
        lost[members] = (
            1 - place_many(heights[members], widths[members], canvas, "fill").content_kept
        )
    return lost


def divide(
    sizes: ImageSizes,
    counts: range,
    objective: Objective,
    threshold: Threshold,
    geometry: CropGeometry = CropGeometry(),
) -> SizeClasses:
    """Gather images by the intervals of aspect ratio between all breakpoints of all tilings.

    Breakpoints are where two tilings are equally near, and where one reaches the threshold: 614 of
    them for 16 crops. Between neighbouring ones no comparison that selection makes changes.

    Args:
        sizes: Sizes of the images, at least one; their order is of no account.
        counts: Consecutive crop counts, from 1 on.
        objective: What is to become small.
        threshold: What a selection minimises, and when preferred counts suffice.
        geometry: Geometry of the crops.
    """
    heights, widths, repeats = distinct_sizes(sizes)
    metric = ExactMetric(geometry, threshold)
    targets = {
        tiling: metric.target(tiling) for crops in counts for tiling in candidate_tilings(crops)
    }
    distinct = sorted(set(targets.values()))
    points = {metric.midpoint(low, high) for low, high in combinations(distinct, 2)}
    breakpoints = Breakpoints(sorted(points | metric.limit_points(distinct)), metric.power)
    aspects = (widths, heights) if metric.of_canvas else inner_aspects(heights, widths, geometry)
    occupied, members = np.unique(breakpoints.locate_many(*aspects), return_inverse=True)

    representatives = breakpoints.representatives()
    best: list[list[Tiling]] = []
    rank: list[list[int]] = []
    good: list[list[bool]] = []
    for index in occupied.tolist():
        aspect = representatives[index]
        assert aspect is not None  # an image fell into the class
        outcomes = [_best_tiling(crops, aspect, targets, metric) for crops in counts]
        order = {value: i for i, value in enumerate(sorted({value for value, _ in outcomes}))}
        best.append([tiling for _, tiling in outcomes])
        rank.append([order[value] for value, _ in outcomes])
        good.append([metric.limit is None or value < metric.limit for value, _ in outcomes])

    tilings = np.array(best)  # (K, M, 2)
    loss = np.empty(tilings.shape[:2])
    for column in range(len(counts)):
        of_image = losses(objective, heights, widths, tilings[members, column], geometry)
        loss[:, column] = np.bincount(members, repeats * of_image)
    images = np.zeros(len(occupied), np.int64)
    np.add.at(images, members, repeats)
    return SizeClasses(counts[0], images, np.array(rank), np.array(good), loss)


def distinct_sizes(sizes: ImageSizes) -> tuple[NDArray[np.int64], ...]:
    """Heights, widths and how often they occur, in an order that is the sizes' own."""
    # Sides are below 2**31, so both fit into one number that sorts fast.
    keys, repeats = np.unique((sizes.heights << 31) | sizes.widths, return_counts=True)
    return keys >> 31, keys & (2**31 - 1), repeats


def _best_tiling(
    crops: int, aspect: Fraction, targets: dict[Tiling, Fraction], metric: ExactMetric
) -> tuple[Fraction, Tiling]:
    """The mismatch and tiling that a crop count gives an aspect ratio; the first of equals."""
    ranked = ((metric.mismatch(targets[t], aspect), t) for t in candidate_tilings(crops))
    return min(ranked, key=lambda pair: pair[0])
