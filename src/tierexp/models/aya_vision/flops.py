"""What encoding images costs in Aya Vision. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import linear_flops, patches, projected


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Of images, as patches: see `LibraryClasses`."""
    merged, text = config.downsample_factor**2, config.text_config.hidden_size
    hidden = getattr(config, "alignment_intermediate_size", text)
    rows, features = patches(grids) // merged, merged * config.vision_config.hidden_size
    encoder = projected(config, grids, rows, features, hidden)
    # Half of what comes out gates the other half.
    return None if encoder is None else encoder + linear_flops(rows, hidden // 2, text)
