"""Which crop count and tiling an image gets.

In: the size of an image and a policy, a tier or Molmo's own rule. Out: a `Selection`. The choice
depends on the image's size alone; nothing here opens an image.

Tiers follow the hybrid-tier definition of this project: the smallest mismatch of aspect ratios,
preferred counts first. `select_tiling` follows `select_tiling` of the preprocessor published with
the Molmo checkpoints (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.table import candidate_tilings, compiled
from tierexp.tiers.tier import CropPolicy, NativeRule, Threshold

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Selection:
    """What an image is cut into.

    Args:
        crops: Number of crops, the global view not counted.
        tiling: Their (rows, cols).
        mismatch: |cols / rows - a|, where a is the image's aspect ratio after the canvas margins
            are subtracted, whatever metric the selection minimised.
    """

    crops: int
    tiling: Tiling
    mismatch: float


@dataclass(frozen=True)
class SelectionArrays:
    """The selections of many images, column by column.

    Args:
        crops: (N,) int64.
        tilings: (N, 2) int64, rows and columns.
        mismatch: (N,) float64.
    """

    crops: NDArray[np.int64]
    tilings: NDArray[np.int64]
    mismatch: NDArray[np.float64]


def _image_sides(height: ArrayLike, width: ArrayLike) -> tuple[NDArray[np.int64], ...]:
    sides = np.broadcast_arrays(np.asarray(height), np.asarray(width))
    for name, side in zip(("height", "width"), sides, strict=True):
        if side.dtype.kind not in "iu":
            raise TypeError(f"{name} must be whole pixels, not {side.dtype}")
        if (side < 1).any():
            raise ValueError(f"{name} must be at least 1 pixel")
    return tuple(side.astype(np.int64) for side in sides)


def select_crops(
    tier: CropPolicy,
    height: int,
    width: int,
    geometry: CropGeometry = CropGeometry(),
    threshold: Threshold = Threshold(),
) -> Selection:
    """The crops of one image.

    Args:
        tier: A tier, or Molmo's own rule.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        geometry: Of the crops.
        threshold: When a tier's preferred counts suffice; Molmo's own rule has no use for it.

    Raises:
        TypeError: A side that is no whole number.
        ValueError: A side is below 1 pixel.
    """
    # Python's whole numbers do not overflow; numpy's would.
    height, width = index(height), index(width)
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels cannot be tiled")
    numerator, denominator = width - geometry.margin_size, height - geometry.margin_size
    if numerator <= 0 or denominator <= 0:
        numerator, denominator = width, height
    if isinstance(tier, NativeRule):
        tiling = select_tiling(height, width, tier.max_crops, geometry)
    else:
        table = compiled(tier, geometry, threshold)
        tiling = (
            table.lookup(width, height) if table.of_canvas else table.lookup(numerator, denominator)
        )
    rows, cols = tiling
    mismatch = abs(cols * denominator - rows * numerator) / (rows * denominator)
    return Selection(rows * cols, tiling, mismatch)


def select_crops_many(
    tier: CropPolicy,
    heights: ArrayLike,
    widths: ArrayLike,
    geometry: CropGeometry = CropGeometry(),
    threshold: Threshold = Threshold(),
) -> SelectionArrays:
    """The crops of many images: `select_crops` for each of them, in one look-up.

    Args:
        tier: A tier, or Molmo's own rule.
        heights: Of the images, whole pixels; broadcast against `widths`.
        widths: Of the images, whole pixels.
        geometry: Of the crops.
        threshold: When a tier's preferred counts suffice.

    Raises:
        TypeError: Sides that are not whole numbers.
        ValueError: A side is below 1 pixel.
    """
    height, width = (side.reshape(-1) for side in _image_sides(heights, widths))
    numerators, denominators = inner_aspects(height, width, geometry)
    if isinstance(tier, NativeRule):
        tilings = _native_tilings(height, width, tier.max_crops, geometry)
    else:
        table = compiled(tier, geometry, threshold)
        tilings = (
            table.lookup_many(width, height)
            if table.of_canvas
            else table.lookup_many(numerators, denominators)
        )
    mismatch = mismatches(tilings, numerators, denominators)
    return SelectionArrays(tilings[:, 0] * tilings[:, 1], tilings, mismatch)


def inner_aspects(
    heights: NDArray[np.int64], widths: NDArray[np.int64], geometry: CropGeometry
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The aspect ratios of images after the canvas margins are subtracted, or of the whole images
    where nothing would be left: (N,) numerators and (N,) denominators.

    Args:
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        geometry: Of the crops.
    """
    numerators, denominators = widths - geometry.margin_size, heights - geometry.margin_size
    too_small = (numerators <= 0) | (denominators <= 0)
    np.copyto(numerators, widths, where=too_small)
    np.copyto(denominators, heights, where=too_small)
    return numerators, denominators


def mismatches(
    tilings: NDArray[np.int64], numerators: NDArray[np.int64], denominators: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): `Selection.mismatch` of images that get these tilings.

    Args:
        tilings: (N, 2), rows and columns.
        numerators: (N,) of the images' `inner_aspects`.
        denominators: (N,) of them.
    """
    rows, cols = tilings[:, 0], tilings[:, 1]
    distances: NDArray[np.float64] = np.abs(cols * denominators - rows * numerators) / (
        rows * denominators
    )
    return distances


def select_tiling(
    height: int, width: int, max_crops: int, geometry: CropGeometry = CropGeometry()
) -> Tiling:
    """Molmo's own rule: of all tilings up to `max_crops`, the one that scales the image up least,
    or, where every tiling scales it down, the one that scales it down least.

    Computed in float32, as published. A side that the margins use up needs an infinite scale.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        max_crops: Most crops.
        geometry: Of the crops.

    Raises:
        TypeError: A side that is no whole number.
        ValueError: A side is below 1 pixel, or `max_crops` below 1.
    """
    if max_crops < 1:
        raise ValueError(f"no tiling has at most {max_crops} crops")
    sides = _image_sides([height], [width])
    rows, cols = _native_tilings(sides[0], sides[1], max_crops, geometry)[0]
    return int(rows), int(cols)


@cache
def _native_candidates(max_crops: int) -> NDArray[np.int64]:
    return np.array([t for n in range(1, max_crops + 1) for t in candidate_tilings(n)])


def _native_tilings(
    heights: NDArray[np.int64], widths: NDArray[np.int64], max_crops: int, geometry: CropGeometry
) -> NDArray[np.int64]:
    """(N,) pixels to (N, 2) tilings."""
    candidates = _native_candidates(max_crops)
    windows = (candidates * geometry.window_size).astype(np.float32)  # (T, 2)
    sides = np.stack([heights, widths], axis=-1).astype(np.float32) - np.float32(
        geometry.margin_size
    )
    chosen = np.empty(len(sides), dtype=np.int64)
    for start in range(0, len(sides), _CHUNK):
        chunk = sides[start : start + _CHUNK, None, :]  # (n, 1, 2)
        with np.errstate(divide="ignore"):
            scales = np.minimum(windows[:, 0] / chunk[..., 0], windows[:, 1] / chunk[..., 1])
        best = scales.argmax(axis=-1)
        (enlarged,) = np.nonzero(scales[np.arange(len(best)), best] >= 1)
        scales = scales[enlarged]
        best[enlarged] = np.where(scales >= 1, scales, np.inf).argmin(axis=-1)
        chosen[start : start + _CHUNK] = best
    return candidates[chosen]
