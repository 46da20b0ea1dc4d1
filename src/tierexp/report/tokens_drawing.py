"""The tilings that families and policies give one image, side by side in one picture.

In: the image, or its size alone, and rows. Out: a picture with a line of panels for every family.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tierexp.models.plans.overlapping import OverlappingCrops
from tierexp.models.plans.plan import Preset, Size
from tierexp.models.plans.policies import NATIVE, TokenRow
from tierexp.report.tiling_figure import draw_tiling
from tierexp.tiers.geometry import CropGeometry

_PANEL, _MARGIN, _LINE, _NAMES = 190, 14, 16, 170
_INK, _FAINT = (30, 30, 36), (150, 150, 158)
_PLAIN = CropGeometry(overlap_margins=(0, 0))
"""Crops or cells that do not overlap: only their number is drawn."""


def draw_rows(
    image: NDArray[np.uint8], rows: Sequence[TokenRow], presets: dict[str, Preset]
) -> Image.Image:
    """A line of panels for every family, a panel for every policy.

    What a tier cuts away is darkened. Cells are divided by thinner lines than crops.

    Args:
        image: (height, width, 3) uint8 RGB; a stand-in of the same aspect ratio will do.
        rows: Rows of this image, families together.
        presets: The families by name.
    """
    lines = [list(members) for _, members in groupby(rows, key=lambda row: row.family)]
    drawn = [_line(image, line, presets[line[0].family]) for line in lines]
    width = max(line.width for line in drawn)
    picture = Image.new("RGB", (width, sum(line.height for line in drawn)), "white")
    top = 0
    for line in drawn:
        picture.paste(line, (0, top))
        top += line.height
    return picture


def _line(image: NDArray[np.uint8], rows: Sequence[TokenRow], preset: Preset) -> Image.Image:
    """One family's panels, with its name on the left."""
    panels = [None if row.plan is None else _panel(image, row, preset) for row in rows]
    tallest = max((panel.height for panel in panels if panel is not None), default=0)
    size = (_NAMES + len(rows) * (_PANEL + _MARGIN), tallest + 2 * _LINE + 2 * _MARGIN)
    line = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(line)
    font = ImageFont.load_default(13)
    pen.text((_MARGIN, _MARGIN), preset.family, _INK, font)
    for index, (row, panel) in enumerate(zip(rows, panels, strict=True)):
        left = _NAMES + index * (_PANEL + _MARGIN)
        pen.text((left, _MARGIN), row.policy, _INK, font)
        pen.text((left, _MARGIN + _LINE), _caption(row), _INK if row.plan else _FAINT, font)
        if panel is not None:
            line.paste(panel, (left, _MARGIN + 2 * _LINE))
    return line


def stand_in(size: Size) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: shades of the aspect ratio of an image that is not there.

    Args:
        size: Size of the image, (height, width) in pixels.
    """
    scale = min(1.0, 2 * _PANEL / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    channels = [
        120 + 90 * across + 0 * down,
        150 + 60 * down + 0 * across,
        220 - 60 * across * down,
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _caption(row: TokenRow) -> str:
    if row.plan is None:
        return "none"
    rows, cols = row.plan.grid
    return f"{rows} x {cols}, {row.plan.vision_tokens} tokens"


def _panel(image: NDArray[np.uint8], row: TokenRow, preset: Preset) -> Image.Image:
    assert row.plan is not None
    geometry = preset.geometry
    crops = geometry.crops if isinstance(geometry, OverlappingCrops) else _PLAIN
    drawn = draw_tiling(
        image,
        row.plan.grid,
        "stretch" if row.policy == NATIVE else "fill",
        crops,
        max_side=_PANEL,
        line_width=2 if geometry.unit == "crop" else 1,
    )
    return Image.fromarray(drawn)
