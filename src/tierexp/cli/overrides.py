"""What is wrong with the overrides of a command line, said in one line.

In: the exception with which Hydra refused to compose a configuration. Out: the key, the value and
what is allowed instead. Also knows what was written, for whoever has to refuse it, and makes names
of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tierexp.config.build import unknown_key
from tierexp.config.location import config_dir
from tierexp.errors import ConfigError

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_COULD_NOT_OVERRIDE = re.compile(r"Could not override '([^']+)'")
_SEVERAL_VALUES = re.compile(r"Ambiguous value for argument '([^=]+)=(.+)'")
_ALREADY_CHOSEN = re.compile(r"Multiple values for ([\w/]+)\.")


def describe_composition_error(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """One line about why a configuration could not be composed.

    Args:
        error: What Hydra or OmegaConf raised.
        config_name: Of the primary configuration.
        arguments: Of the command line.
    """
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} is not an override: write KEY=VALUE, lists as [4,6], and quote a "
            "value with other special characters twice, 'KEY=\"VALUE\"'"
        )
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return str(ConfigError(group, option, f"one of {', '.join(error.options)}"))
    message = str(error)
    written = _written(arguments)
    if match := _COULD_NOT_OVERRIDE.match(message):
        return str(_refused_override(match[1], config_name, written))
    if match := _SEVERAL_VALUES.match(message):
        key, value = match.groups()
        return f"{key}={value} gives several values: -m runs each of them, a list is [{value}]"
    if match := _ALREADY_CHOSEN.match(message):
        return f"{match[1]} has its value already: change it with {match[1]}=..., without the +"
    if message.startswith("Config group override must be"):
        for key, value in written.items():
            if not isinstance(value, str) and (config_dir() / key).is_dir():
                return str(ConfigError(key, value, f"one of {', '.join(_options(key))}"))
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key}: {message.splitlines()[0]}"
    # What follows the first paragraph are search paths and advice about Hydra.
    return message.split("\n\n")[0]


def name_positional(arguments: Sequence[str], key: str) -> list[str]:
    """Make an override of the first argument, where it is a path and no override or option.

    Args:
        arguments: Of the command line.
        key: That the path is the value of.
    """
    first, *rest = [*arguments, ""]
    if not first or first.startswith("-") or "=" in first.partition("/")[0]:
        return list(arguments)
    quoted = first.replace("\\", "\\\\").replace("'", "\\'")
    return [f"{key}='{quoted}'", *rest[:-1]]


def expand_token_targets(arguments: Sequence[str]) -> list[str]:
    """Spell out `vision_tokens_list=[432,720]`: a multirun over the fixed counts of so many tokens.

    Args:
        arguments: Of the command line.

    Raises:
        ConfigError: A number of tokens that no fixed tier has, or a tier beside the list.
    """
    key = "vision_tokens_list"
    lists = [argument for argument in arguments if argument.startswith(f"{key}=")]
    if not lists:
        return list(arguments)
    if len(lists) > 1 or any(argument.startswith("tier=") for argument in arguments):
        raise ConfigError(key, lists[-1].partition("=")[2], "one list, and no tier=... beside it")
    targets = _written(lists)[key] if _written(lists) else None
    known = [name for name in _options("tier") if name.startswith("fixed_")]
    names = [f"fixed_{target}" for target in targets] if isinstance(targets, list) else []
    if not names or not set(names) <= set(known):
        possible = sorted(int(name.removeprefix("fixed_")) for name in known)
        raise ConfigError(key, targets, f"a list of some of {', '.join(map(str, possible))}")
    rest = [argument for argument in arguments if argument not in (*lists, "-m", "--multirun")]
    return ["--multirun", f"tier={','.join(names)}", *rest]


_TOLD_IN_NAMES = ("tier", "threshold", "resize", "model")
"""Groups whose overrides, beside the choices of data and tier, tell runs of a sweep apart."""


def run_name(data: str, tier: str, overrides: Sequence[str]) -> str:
    """A name for people: `tierqa_medium`, and what else was asked for, `_top_k-1`; no paths.

    Args:
        data: The choice of the group `data`.
        tier: The choice of the group `tier`.
        overrides: Of the run.
    """
    parts = [data, tier]
    for key, value in _written(overrides).items():
        group, _, name = key.partition(".")
        told = group in _TOLD_IN_NAMES and (name or group not in ("tier", "model"))
        if told and "/" not in str(value):
            parts.append(f"{name or group}-{value}".replace(" ", ""))
    return "_".join(parts)


def sweep_group(mode: object, folder: str) -> str | None:
    """What the runs of a multirun have in common, for loggers that group runs: the name of its
    folder, with the day where the folder is named by the time; None for a run of its own.

    Args:
        mode: Hydra's; None while only a configuration is composed.
        folder: Of the multirun.
    """
    if getattr(mode, "name", None) != "MULTIRUN":
        return None
    *_, day, name = Path(folder).absolute().parts
    return f"{day}_{name}" if _DAY.fullmatch(day) else name


OmegaConf.register_new_resolver("tierexp.run_name", run_name, replace=True)
OmegaConf.register_new_resolver("tierexp.sweep_group", sweep_group, replace=True)


def written_overrides() -> dict[str, object]:
    """Keys and values that the user wrote on the command line for the run at hand; a deleted key
    has the value None, and outside of a run nothing was written.
    """
    if not HydraConfig.initialized():
        return {}
    return _written(HydraConfig.get().overrides.task)


def _refused_override(key: str, config_name: str, written: Mapping[str, object]) -> ConfigError:
    value = written.get(key)
    parts = key.split(".")
    # Another command's groups cannot be chosen, even where they have the option.
    groups = _composed(config_name, [], with_hydra=True).hydra.runtime.choices
    chosen = [
        f"{k}={v}"
        for k, v in written.items()
        if k in groups and isinstance(v, str) and v in _options(k)
    ]
    siblings, depth = _composed(config_name, chosen, with_hydra=key.startswith("hydra")), 0
    for part in parts[:-1]:
        child = siblings.get(part)
        if not isinstance(child, DictConfig):
            break
        siblings, depth = child, depth + 1
    if parts[depth] not in siblings:
        known = [str(name) for name in siblings if name != "_target_"]
        return unknown_key(".".join(parts[: depth + 1]), value, known)
    # Hydra takes no plain value for a group, and no key below a plain value.
    if (config_dir() / key).is_dir():
        return ConfigError(key, value, f"one of {', '.join(_options(key))}")
    return ConfigError(key, value, f"{'.'.join(parts[: depth + 1])} has no keys")


def _written(arguments: Sequence[str]) -> dict[str, object]:
    """Keys and values of the arguments that are overrides."""
    parser = OverridesParser.create()
    values: dict[str, object] = {}
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException:
            continue
        values[override.key_or_group] = None if override.is_sweep_override() else override.value()
    return values


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _composed(config_name: str, overrides: list[str], with_hydra: bool) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(config_name, overrides, return_hydra_config=with_hydra)
    if with_hydra:
        OmegaConf.set_readonly(config.hydra, None)
    return config
