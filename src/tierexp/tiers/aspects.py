"""Aspect ratios of images as crops see them, as quotients of whole numbers.

In: heights and widths. Out: numerators and denominators, and how far a tiling is from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierexp.tiers.geometry import CropGeometry


def checked_sides(height: ArrayLike, width: ArrayLike) -> tuple[NDArray[np.int64], ...]:
    """Heights and widths of images, broadcast against each other.

    Args:
        height: Whole pixels.
        width: Whole pixels.

    Raises:
        TypeError: Sides that are not whole numbers.
        ValueError: A side is below 1 pixel.
    """
    sides = np.broadcast_arrays(np.asarray(height), np.asarray(width))
    for name, side in zip(("height", "width"), sides, strict=True):
        if side.dtype.kind not in "iu":
            raise TypeError(f"{name} must be whole pixels, not {side.dtype}")
        if (side < 1).any():
            raise ValueError(f"{name} must be at least 1 pixel")
    return tuple(side.astype(np.int64) for side in sides)


def inner_aspect(height: int, width: int, geometry: CropGeometry) -> tuple[int, int]:
    """The aspect ratio of one image after the canvas margins are subtracted, or of the whole image
    where nothing would be left: numerator and denominator.

    Args:
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
        geometry: Geometry of the crops.
    """
    numerator, denominator = width - geometry.margin_size, height - geometry.margin_size
    if numerator <= 0 or denominator <= 0:
        return width, height
    return numerator, denominator


def inner_aspects(
    heights: NDArray[np.int64], widths: NDArray[np.int64], geometry: CropGeometry
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The aspect ratios of images after the canvas margins are subtracted, or of the whole images
    where nothing would be left: (N,) numerators and (N,) denominators.

    Args:
        heights: (N,) of the images, in pixels.
        widths: (N,) of the images, in pixels.
        geometry: Geometry of the crops.
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
