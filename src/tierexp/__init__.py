"""tierexp: the number of vision tokens of a vision-language model as a control knob.

Importing it imports no torch: what needs torch is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tierexp.api.later import __getattr__ as __getattr__
from tierexp.api.version import __version__ as __version__
from tierexp.tiers.files import load_tier as load_tier
from tierexp.tiers.geometry import CropGeometry as CropGeometry
from tierexp.tiers.native import select_tiling as select_tiling
from tierexp.tiers.selection import Selection as Selection
from tierexp.tiers.selection import select_crops as select_crops
from tierexp.tiers.threshold import Threshold as Threshold
from tierexp.tiers.tier import Tier as Tier

if TYPE_CHECKING:
    from tierexp.api.evaluation import evaluate as evaluate
    from tierexp.api.model import Answer as Answer
    from tierexp.api.model import load_model as load_model
    from tierexp.api.preprocessor import Preprocessor as Preprocessor
