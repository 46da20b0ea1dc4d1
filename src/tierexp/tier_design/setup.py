"""What a search for a tier is made of, from its configuration.

In: the composed configuration. Out: a `DesignSetup`, everything checked, the sizes read last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from omegaconf import DictConfig

from tierexp.config.build import build, has_target, refuse_unknown_keys, resolved
from tierexp.config.checks import choice, text, whole_number
from tierexp.config.settings import refuse_unread
from tierexp.config.written import written_overrides
from tierexp.data.sizes import ImageSizes
from tierexp.data.sizes_setup import read_image_sizes
from tierexp.errors import ConfigError
from tierexp.models.none import MOLMO, NoModel
from tierexp.models.plans.plan import Preset
from tierexp.tier_design.classes import Objective
from tierexp.tiers.files import shipped_tiers
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.threshold import Threshold

KEYS = (
    "threshold", "data", "model", "objective", "budget", "min_crops", "max_crops", "name",
    "overwrite", "output_dir",
)  # fmt: skip
"""The top-level keys of `conf/optimize_tiers.yaml`."""
MOST_CROPS = 20
"""4.2 million tiers, and half a second; every count more doubles both."""
_UNREAD = ("data.batch_size", "data.num_workers")


@dataclass(frozen=True)
class DesignSetup:
    """Everything a search is made of.

    Args:
        objective: What is to become small on average.
        budget: Most vision tokens on average, the global view's included.
        counts: The crop counts a tier may have.
        name: Name of the tier that is written.
        threshold: When a tier's preferred counts suffice.
        geometry: Geometry of the crops that tiers are counted in: Molmo's.
        sizes: Sizes of the images.
        preset: The family whose tiers are searched; None for Molmo.
    """

    objective: Objective
    budget: int
    counts: range
    name: str
    threshold: Threshold
    geometry: CropGeometry
    sizes: ImageSizes
    preset: Preset | None = None

    @property
    def family(self) -> str:
        """Its name."""
        return MOLMO if self.preset is None else self.preset.family


def read_design_setup(config: DictConfig) -> DesignSetup:
    """Check a configuration and build what it describes; reads the sizes, last of all.

    Args:
        config: As composed from `conf/optimize_tiers.yaml`.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    refuse_unknown_keys(config, KEYS)
    refuse_unread(written_overrides(), _UNREAD, "leave it out: sizes suffice, nothing is loaded")
    values = resolved(config)
    geometry = CropGeometry()
    choice("objective", values["objective"], get_args(Objective))
    low = whole_number("min_crops", values["min_crops"], 1, MOST_CROPS)
    high = whole_number("max_crops", values["max_crops"], low, MOST_CROPS)
    preset = _family(config)
    # In another family the search alone tells what its fewest tokens are.
    least = geometry.selected_vision_tokens(low) if preset is None else 1
    budget = whole_number("budget", values["budget"], least)
    name = text("name", values["name"])
    if not re.fullmatch(r"\w[\w-]*", name, re.ASCII):
        raise ConfigError("name", name, "letters, digits, _ and -: a file and an option bear it")
    if name in shipped_tiers():
        raise ConfigError("name", name, "another one: tier=... would find the shipped tier")
    threshold = build(config, "threshold")
    sizes = read_image_sizes(config, "design a tier for")
    return DesignSetup(
        values["objective"], budget, range(low, high + 1), name, threshold, geometry, sizes, preset
    )


def _family(config: DictConfig) -> Preset | None:
    """The family that the group `model` names; None for Molmo.

    Raises:
        ConfigError: A model that would answer, no such family, or a threshold beside one.
    """
    if not has_target(config, "model", NoModel):
        raise ConfigError("model", written_overrides().get("model"), "none: sizes suffice")
    model: NoModel = build(config, "model")
    preset = model.preset
    if preset is not None:
        reason = "leave it out: with a model.family the least mismatch wins"
        refuse_unread(written_overrides(), ("threshold",), reason)
    return preset


def read_part(config: DictConfig) -> dict[str, object]:
    """The configuration, resolved, without what nothing reads."""
    part = resolved(config)
    for name in _UNREAD:
        group, _, key = name.partition(".")
        part[group].pop(key, None)
    return part
