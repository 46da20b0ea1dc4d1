"""What is wrong with the overrides of a command line, said in one line.

In: the exception with which Hydra refused to compose a configuration. Out: the key, the value and
what is allowed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from tierexp.config.arguments import own_config_dir
from tierexp.config.build import interpolation_error, unknown_key
from tierexp.config.location import config_dir
from tierexp.config.written import parsed_overrides
from tierexp.errors import ConfigError


def describe_composition_error(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """One line about why a configuration could not be composed: the override that cannot work,
    found by looking at each of them; else the first paragraph of what Hydra says.

    Args:
        error: What Hydra or OmegaConf raised.
        config_name: Name of the primary configuration.
        arguments: Arguments of the command line.
    """
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} is not an override: write KEY=VALUE, lists as [4,6], and quote a "
            "value with other special characters twice, 'KEY=\"VALUE\"'"
        )
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return str(ConfigError(group, option, f"one of {', '.join(error.options)}"))
    complaint = _complaint(
        _Composition(config_name, own_config_dir(arguments)), parsed_overrides(arguments),
        multirun=bool({"-m", "--multirun"} & {*arguments}),
    )  # fmt: skip
    if complaint is not None:
        return str(complaint)
    message = str(error)
    if isinstance(error, RecursionError):
        return "the configuration is nested too deep to be read"
    if isinstance(error, OmegaConfBaseException):
        return str(interpolation_error(error))
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        where = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
        return f"{where} is not YAML: {error.problem}"
    # What follows the first paragraph are search paths and advice about Hydra.
    return message.split("\n\n")[0]


@dataclass(frozen=True)
class _Composition:
    """What a command's configuration is without a mistaken override.

    Args:
        config_name: Name of the primary configuration.
        own_dir: The user's own configuration, `--config-dir`.
    """

    config_name: str
    own_dir: Path | None
    _kept: dict[tuple[str | bool, ...], DictConfig] = field(default_factory=dict, compare=False)

    def compose(self, overrides: Sequence[str] = (), with_hydra: bool = False) -> DictConfig:
        """The configuration with these overrides alone; the same one, asked again."""
        asked: tuple[str | bool, ...] = (*overrides, with_hydra)
        if asked not in self._kept:
            self._kept[asked] = self._composed(overrides, with_hydra)
        return self._kept[asked]

    def _composed(self, overrides: Sequence[str], with_hydra: bool) -> DictConfig:
        own = [] if self.own_dir is None else [f"hydra.searchpath=['{self.own_dir.as_uri()}']"]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = compose(self.config_name, [*own, *overrides], return_hydra_config=with_hydra)
        if with_hydra:
            OmegaConf.set_readonly(config.hydra, None)
        return config

    @cached_property
    def groups(self) -> frozenset[str]:
        """The groups that can be chosen."""
        choices = self.compose(with_hydra=True).hydra.runtime.choices
        return frozenset(str(group) for group in choices)

    def options(self, group: str) -> list[str]:
        """What a group can be set to."""
        folders = (config_dir(), *([] if self.own_dir is None else [self.own_dir]))
        return sorted({path.stem for place in folders for path in (place / group).glob("*.yaml")})


def _complaint(
    composition: _Composition, overrides: Sequence[Override], multirun: bool
) -> ConfigError | str | None:
    """What is wrong with the first override that cannot work."""
    try:
        # Another command's groups cannot be chosen, even where they have the option.
        groups = composition.groups
    except (HydraException, OmegaConfBaseException):
        return None  # not an override's fault
    for override in overrides:
        if override.is_sweep_override() and not multirun:
            key = override.key_or_group
            return _several_values(key, str(override.get_value_string()), key in groups)
    chosen = [o for o in overrides if o.key_or_group in groups and not o.is_sweep_override()]
    for override in chosen:
        complaint = _refused_choice(override, composition)
        if complaint is not None:
            return complaint
    lines = [f"{o.key_or_group}={o.value()}" for o in chosen if not o.is_delete()]
    try:
        composition.compose(lines)
    except (HydraException, OmegaConfBaseException, MarkedYAMLError, ValueError):
        return None  # not an override's fault: an option's file is broken
    for override in overrides:
        complaint = _refused_merge(override, composition, lines)
        if complaint is not None:
            return complaint
        key = override.key_or_group
        if not (key in groups or override.is_add() or override.is_force_add()):
            written = None if override.is_sweep_override() else override.value()
            complaint = _refused_key(key, written, composition, lines)
            if complaint is not None:
                return complaint
    return None


def _refused_choice(override: Override, composition: _Composition) -> ConfigError | str | None:
    """The complaint about an option that a group does not have; None where it has it."""
    key, options = override.key_or_group, composition.options(override.key_or_group)
    if override.is_delete():
        return None
    if override.is_add() or override.is_force_add():
        return f"{key} has its value already: change it with {key}=..., without the +"
    value = override.value()
    if value in options or (value is None and key == "experiment"):
        return None
    return ConfigError(key, value, f"one of {', '.join(options)}")


def _refused_merge(override: Override, composition: _Composition, chosen: list[str]) -> str | None:
    """The complaint about a value of another kind than what is there, or about one that is added
    though it is there; None where it can be set.
    """
    key = override.key_or_group
    if override.is_sweep_override() or override.is_delete() or key in composition.groups:
        return None
    config = composition.compose(chosen, with_hydra=key.startswith("hydra"))
    try:
        there = OmegaConf.select(config, key, default=None)
    except OmegaConfBaseException:
        there = None  # of no key, such as one in a list
    if override.is_add() and there is not None:
        return f"{key} has its value already: change it with {key}=..., without the +"
    value = override.value()
    for kind, name in ((DictConfig, "a group of keys"), (ListConfig, "a list, such as [4,6]")):
        given = isinstance(value, dict if kind is DictConfig else list)
        if isinstance(there, kind) and isinstance(value, dict | list) and not given:
            return str(ConfigError(key, value, name))
    return None


def _several_values(key: str, value: str, group: bool) -> str:
    """The complaint about a run that is to have two settings at once."""
    line = f"{key}={value} gives several values: -m {key}={value} runs each of them"
    return line if group else f"{line}, a list is [{value}], a text with a comma is quoted twice"


def _refused_key(
    key: str, value: object, composition: _Composition, chosen: list[str]
) -> ConfigError | None:
    """The complaint about a key that the configuration does not have; None where it has it."""
    parts = key.split(".")
    siblings, depth = composition.compose(chosen, with_hydra=key.startswith("hydra")), 0
    for part in parts[:-1]:
        child = siblings.get(part)
        if not isinstance(child, DictConfig):
            break
        siblings, depth = child, depth + 1
    names = [str(name) for name in siblings]  # `in` says no to a value that is missing
    if parts[depth] not in names:
        known = [name for name in names if name != "_target_"]
        if depth == 0 and len(parts) > 1:
            return _of_another_command(key, value, known)
        return unknown_key(".".join(parts[: depth + 1]), value, known)
    if depth < len(parts) - 1:
        return ConfigError(key, value, f"{'.'.join(parts[: depth + 1])} has no keys")
    # Hydra takes no plain value for a group.
    if options := composition.options(key):
        return ConfigError(key, value, f"one of {', '.join(options)}")
    return None


def _of_another_command(key: str, value: object, known: Sequence[str]) -> ConfigError:
    """The complaint about a key of a group that this command does not have."""
    group = key.partition(".")[0]
    there = (config_dir() / group).is_dir()
    scripts = (p for p in config_dir().glob("*.yaml") if f"- {group}: " in p.read_text("utf-8"))
    users = [f"{script.stem}.py" for script in scripts]
    if there and users:
        return ConfigError(key, value, f"no key of this command, but of {' and '.join(users)}")
    return unknown_key(group, value, known)
