"""What encoding images costs in Qwen2.5-VL. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.qwen2_vl.encoder import qwen_flops
from tierexp.models.transformers_family.encoder_flops import encoder_flops


def vision_flops(config: Any, grids: Sequence[Grid]) -> int:
    """Operations of encoding images, see `LibraryClasses`."""
    vision = config.vision_config
    width, mlp_width = vision.hidden_size, vision.intermediate_size
    whole = encoder_flops(map(prod, grids), width, mlp_width, gated=True)
    side = vision.window_size // vision.patch_size
    windows = [window for grid in grids for window in _window_lengths(grid, side)]
    parts = encoder_flops(windows, width, mlp_width, gated=True)
    full = sum(index in vision.fullatt_block_indexes for index in range(vision.depth))
    blocks = full * whole + (vision.depth - full) * parts
    return qwen_flops(vision, grids, width, blocks, vision.out_hidden_size)


def _window_lengths(grid: Grid, side: int) -> list[int]:
    """Patches in each square window of `side` patches; those at the far edges may be smaller."""
    heights, widths = (
        [min(side, whole - start) for start in range(0, whole, side)] for whole in grid
    )
    return [height * width for height in heights for width in widths]
