"""Where many images land on one canvas, and how many vision tokens see them: `place` and
`count_actual_tokens` for arrays of sizes, to the last pixel.

In: heights and widths, the canvas they share. Out: columns of numbers. Knows nothing about pixels,
nor about who chose the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.resize import ResizeMode, Size
from tierexp.tiers.geometry import CropGeometry, Tiling

Column = NDArray[np.int64]
"""(N,) pixels or counts."""


@dataclass(frozen=True)
class Placements:
    """Where N images land on a canvas, as `Placement` says it of one.

    Args:
        canvas_size: (height, width) of the canvas, in pixels.
        scaled_heights: (N,) int64: of the whole images at the canvas's scale, in pixels.
        scaled_widths: (N,) int64.
        top: (N,) int64: the first canvas row that shows the image.
        left: (N,) int64: the first column.
        bottom: (N,) int64: the row after the last.
        right: (N,) int64: the column after the last.
    """

    canvas_size: Size
    scaled_heights: Column
    scaled_widths: Column
    top: Column
    left: Column
    bottom: Column
    right: Column

    @property
    def content_kept(self) -> NDArray[np.float64]:
        """(N,) shares of the images' areas that are on the canvas."""
        # In floats: the scaled area of a very long image is beyond int64.
        scaled_areas = self.scaled_heights.astype(np.float64) * self.scaled_widths
        shares: NDArray[np.float64] = self._visible_areas() / scaled_areas
        return shares

    @property
    def padding_fraction(self) -> NDArray[np.float64]:
        """(N,) shares of the canvas's area that do not show the image."""
        shares: NDArray[np.float64] = 1 - self._visible_areas() / (
            self.canvas_size[0] * self.canvas_size[1]
        )
        return shares

    def _visible_areas(self) -> Column:
        return (self.bottom - self.top) * (self.right - self.left)


def place_many(heights: Column, widths: Column, canvas_size: Size, mode: ResizeMode) -> Placements:
    """Lay images on a canvas: `place` for each of them.

    Args:
        heights: (N,) of the images, in pixels, below 2**31.
        widths: (N,) of the images, in pixels, below 2**31.
        canvas_size: (height, width) of the canvas, in pixels.
        mode: What to do with unequal aspect ratios.
    """
    canvas_height, canvas_width = canvas_size
    match mode:
        case "stretch":
            scaled_heights = np.full_like(heights, canvas_height)
            scaled_widths = np.full_like(widths, canvas_width)
        case "fill":
            by_height = canvas_height * widths >= canvas_width * heights
            scaled_heights = np.where(
                by_height, canvas_height, _rounded(heights * canvas_width, widths)
            )
            scaled_widths = np.where(
                by_height, _rounded(widths * canvas_height, heights), canvas_width
            )
        case "letterbox":
            # float32 and truncation, as published.
            tall, wide = heights.astype(np.float32), widths.astype(np.float32)
            scales = np.minimum(np.float32(canvas_height) / tall, np.float32(canvas_width) / wide)
            scaled_heights = np.maximum((tall * scales).astype(np.int64), 1)
            scaled_widths = np.maximum((wide * scales).astype(np.int64), 1)
    top, bottom = _visible(scaled_heights, canvas_height)
    left, right = _visible(scaled_widths, canvas_width)
    return Placements(canvas_size, scaled_heights, scaled_widths, top, left, bottom, right)


def count_actual_tokens_many(
    placements: Placements, tiling: Tiling, geometry: CropGeometry
) -> Column:
    """(N,): `count_actual_tokens` of each image.

    Args:
        placements: The images on the canvas.
        tiling: (rows, cols) of crops; (1, 1) for the global view.
        geometry: Patch size, overlap, pooling.
    """

    def along(crops: int, start: Column, stop: Column, pool: int) -> Column:
        window = pool * geometry.patch_size
        tokens = np.zeros_like(start)
        for origin in range(0, crops * geometry.window_size, geometry.window_size):
            first = np.maximum(start - origin, 0)
            end = np.minimum(stop - origin, geometry.crop_size)
            tokens += np.where(first < end, -(-end // window) - first // window, 0)
        return tokens

    rows, cols = tiling
    down = along(rows, placements.top, placements.bottom, geometry.pooling[0])
    return down * along(cols, placements.left, placements.right, geometry.pooling[1])


def _rounded(numerators: Column, denominators: Column) -> Column:
    return (2 * numerators + denominators) // (2 * denominators)


def _visible(scaled: Column, canvas: int) -> tuple[Column, Column]:
    """Along one axis: the canvas pixels `[start, stop)` that show the image."""
    # An odd pixel of padding is at the bottom or right; one that is cropped shows on no side.
    offset = (canvas - scaled) // 2
    return np.maximum(offset, 0), np.minimum(offset + scaled, canvas)
