"""What is wrong with the overrides of a command line, said in one line.

In: the exception with which Hydra refused to compose a configuration. Out: the key, the value and
what is allowed instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tierexp.config.build import unknown_key
from tierexp.config.location import config_dir
from tierexp.config.written import overrides_of
from tierexp.errors import ConfigError

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
    written = overrides_of(arguments)
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
    targets = overrides_of(lists)[key] if overrides_of(lists) else None
    known = [name for name in _options("tier") if name.startswith("fixed_")]
    names = [f"fixed_{target}" for target in targets] if isinstance(targets, list) else []
    if not names or not set(names) <= set(known):
        possible = sorted(int(name.removeprefix("fixed_")) for name in known)
        raise ConfigError(key, targets, f"a list of some of {', '.join(map(str, possible))}")
    rest = [argument for argument in arguments if argument not in (*lists, "-m", "--multirun")]
    return ["--multirun", f"tier={','.join(names)}", *rest]


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


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _composed(config_name: str, overrides: list[str], with_hydra: bool) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(config_name, overrides, return_hydra_config=with_hydra)
    if with_hydra:
        OmegaConf.set_readonly(config.hydra, None)
    return config
