"""The model of the last run of this process, for the next one.

The runs of a multirun differ in tier, threshold or knobs far more often than in weights, and a
large model takes minutes to load. One model is kept, never two: before another is loaded, the
memory of the last one is free.
"""

from __future__ import annotations

import gc
from collections.abc import Hashable

import torch

from tierexp.models.protocol import ModelSource, VisionLanguageModel

_kept: dict[Hashable, VisionLanguageModel] = {}


def load_once(source: ModelSource, device: torch.device) -> VisionLanguageModel:
    """The model of a source with its knobs set, loaded unless the last run has.

    Args:
        source: Source of the model; the weights are those its files hold now.
        device: Where it is to run.

    Raises:
        CheckpointError: Whatever `source.load` complains about.
    """
    key = source.weights, str(device)
    if key in _kept:
        source.apply_knobs(_kept[key])
        return _kept[key]
    if _kept:
        _kept.clear()
        # Lightning's trainer and module refer to each other, and to the model.
        gc.collect()
    _kept[key] = source.load(device)
    return _kept[key]
