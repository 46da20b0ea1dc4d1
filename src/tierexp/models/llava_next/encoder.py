"""What encoding images costs in LLaVA-NeXT, and in LLaVA-OneVision. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierexp.models.plans.plan import Grid
from tierexp.models.transformers_family.encoder_flops import patches, projected


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Operations of encoding images, see `LibraryClasses`."""
    layers = config.vision_feature_layer
    taken = 1 if isinstance(layers, int) else len(layers)
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return projected(config, grids, patches(grids), taken * width, text, text)
