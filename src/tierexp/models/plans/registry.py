"""The families, found by their folders: every package of `tierexp.models` with a `geometry` module
that exports a `FAMILY`. Adding a family is adding a folder; one of one's own is named by the path
of its `Family`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from tierexp import models
from tierexp.config.build import target_of
from tierexp.errors import ConfigError
from tierexp.models.plans.family import Family
from tierexp.models.plans.plan import Preset


@cache
def families() -> dict[str, Family]:
    """Every family by the names of its presets, in alphabetical order.

    Raises:
        ValueError: Two folders claim one name.
    """
    found: dict[str, Family] = {}
    for module in iter_modules(models.__path__, f"{models.__name__}."):
        name = f"{module.name}.geometry"
        if not module.ispkg or find_spec(name) is None:
            continue
        family: Family = import_module(name).FAMILY
        for preset in family.presets:
            if preset.family in found:
                raise ValueError(f"{name}: there is a family {preset.family} already")
            found[preset.family] = family
    return dict(sorted(found.items()))


def presets() -> dict[str, Preset]:
    """Every preset by the name of its family, in alphabetical order."""
    return {name: _named(family, name) for name, family in families().items()}


def family(name: str, key: str = "family") -> Family:
    """A family.

    Args:
        name: Name of one of its presets, or the path of a `Family` of one's own, `mine.FAMILY`.
        key: That named it.

    Raises:
        ConfigError: There is no such family.
    """
    known = families()
    if name in known:
        return known[name]
    if "." not in str(name):
        allowed = f"one of {', '.join(known)}, or the path of a Family of your own, mine.FAMILY"
        raise ConfigError(key, name, allowed)
    made: object = target_of(key, name)
    if not isinstance(made, Family):
        raise ConfigError(key, name, f"the path of a Family, not of a {type(made).__name__}")
    return made


def preset(name: str, key: str = "family") -> Preset:
    """A family's rule under some settings; the arguments and errors of `family`."""
    return _named(family(name, key), name)


def family_of_type(model_type: object) -> Family | None:
    """The family whose checkpoints' `config.json` says this; None where there is none."""
    return next((known for known in _answering() if known.model_type == model_type), None)


def answering_types() -> list[str]:
    """What `config.json` may say in a folder that somebody here reads, in alphabetical order."""
    return sorted({str(known.model_type) for known in _answering()})


def _answering() -> list[Family]:
    return [known for known in families().values() if known.option is not None]


def _named(made: Family, name: str) -> Preset:
    return next((preset for preset in made.presets if preset.family == name), made.preset)
