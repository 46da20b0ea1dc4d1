"""The data set and the model that results name, built again as far as results can be trusted.

In: the configuration in a results file, which may be somebody else's. Out: the part of it that
describes both, if building them runs nothing but the classes of shipped options. A `_target_` may
be any function of this machine: on a command line it is the user's, in a results file it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tierexp.config.location import config_dir
from tierexp.errors import DataError

_WAY_OUT = "--trust builds it all the same"


def trusted_config(settings: Mapping[str, Any]) -> DictConfig:
    """The groups `data` and `model` of a configuration that a results file holds.

    Args:
        settings: The whole configuration.

    Raises:
        DataError: A group names something else than a shipped option's class, or would read what
            results must not decide on: variables of the environment, pictures of any folder.
    """
    groups = {}
    for name in ("data", "model"):
        group = settings.get(name)
        targets = [str(target) for target in _targets(group)]
        if not isinstance(group, Mapping) or len(targets) != 1 or "_target_" not in group:
            raise DataError(f"the results' {name} is no object of its own; {_WAY_OUT}")
        if targets[0] not in _shipped_targets(name):
            raise DataError(f"no option of {name} is a {targets[0]}; {_WAY_OUT}")
        if group.get("images_anywhere") or "${" in str(group):
            raise DataError(f"the results' {name} reaches for more than its folder; {_WAY_OUT}")
        groups[name] = dict(group)
    return OmegaConf.create(groups)


def _shipped_targets(group: str) -> set[str]:
    options = [OmegaConf.load(path) for path in (config_dir() / group).rglob("*.yaml")]
    # An option that is another one and some changes has none of its own.
    targets = [option.get("_target_") for option in options if isinstance(option, DictConfig)]
    return {target for target in targets if target is not None}


def _targets(value: object) -> Iterator[object]:
    """What would be called, at any depth."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value["_target_"]
        for below in value.values():
            yield from _targets(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _targets(below)
