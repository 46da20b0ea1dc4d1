"""tierexp: the number of vision tokens of a vision-language model as a control knob.

Importing it imports no torch: what needs torch is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.native import select_tiling
from tierexp.tiers.selection import Selection, select_crops
from tierexp.tiers.threshold import Threshold
from tierexp.tiers.tier import Tier

if TYPE_CHECKING:
    from tierexp.api.evaluation import evaluate
    from tierexp.api.model import Answer, load_model
    from tierexp.api.preprocessor import Preprocessor

__version__ = "0.2.0"

__all__ = [
    "Answer",
    "CropGeometry",
    "Preprocessor",
    "Selection",
    "Threshold",
    "Tier",
    "__version__",
    "evaluate",
    "load_model",
    "load_tier",
    "select_crops",
    "select_tiling",
]

_LATER = {
    "Answer": "tierexp.api.model",
    "Preprocessor": "tierexp.api.preprocessor",
    "evaluate": "tierexp.api.evaluation",
    "load_model": "tierexp.api.model",
}
"""Where the names are that wait for their first use."""


def __getattr__(name: str) -> object:
    """A name that is imported when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module 'tierexp' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
