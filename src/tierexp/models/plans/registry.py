"""The families, found by their folders: every package of `tierexp.models` with a `geometry` module
that exports `PRESETS`. Adding a family is adding a folder.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from tierexp import models
from tierexp.errors import ConfigError
from tierexp.models.plans.plan import Preset


@cache
def presets() -> dict[str, Preset]:
    """Every preset by the name of its family, in alphabetical order.

    Raises:
        ValueError: Two folders claim one name.
    """
    found: dict[str, Preset] = {}
    for module in iter_modules(models.__path__, f"{models.__name__}."):
        name = f"{module.name}.geometry"
        if not module.ispkg or find_spec(name) is None:
            continue
        for preset in import_module(name).PRESETS:
            if preset.family in found:
                raise ValueError(f"{name}: there is a family {preset.family} already")
            found[preset.family] = preset
    return dict(sorted(found.items()))


def preset(family: str) -> Preset:
    """The preset of a family.

    Raises:
        ConfigError: There is no such family.
    """
    known = presets()
    if family not in known:
        raise ConfigError("family", family, f"one of {', '.join(known)}")
    return known[family]
