"""What encoding images costs in Aya Vision. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import linear_flops, patches, projected


def merged_side(config: Any) -> int:
    """See `LibraryClasses`."""
    return int(config.downsample_factor)


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Operations of encoding images, see `LibraryClasses`."""
    merged, text = merged_side(config) ** 2, config.text_config.hidden_size
    hidden = getattr(config, "alignment_intermediate_size", text)
    rows, features = patches(grids) // merged, merged * config.vision_config.hidden_size
    encoder = projected(config, grids, rows, features, hidden)
    # Half of what comes out gates the other half.
    return None if encoder is None else encoder + linear_flops(rows, hidden // 2, text)
