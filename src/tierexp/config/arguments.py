"""The arguments of a command line as Hydra is to read them.

In: what the user typed. Out: overrides first, `~` written out, shorthands spelled out. What no
option or override could be is refused in one line. Composes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from tierexp.config.credentials import refuse_credentials
from tierexp.config.location import config_dir
from tierexp.errors import ConfigError, TierexpError

OVERRIDE = re.compile(r"~|\+{0,2}\w[\w/.@:$-]*=")
"""How an override begins; what does not is an option of Hydra or the value of one."""
TOKEN_TARGETS = "vision_tokens_list"
_HOME = re.compile(r"(?<=[=,\[:])~[^,\[\]{}:'\"]*")
_PLAIN = re.compile(r"[\w/\-+.$%*@?|\\ ]*", re.ASCII)
"""What Hydra takes without quotes."""
_MOST_DIGITS = 1000
_DEEPEST = 40
"""Brackets within brackets; Hydra's parser runs out of stack soon after."""
_OTHER_NAMES = {
    "limit": "data.max_samples",
    "max-samples": "data.max_samples",
    "num-samples": "data.max_samples",
    "samples": "data.max_samples",
    "batch-size": "data.batch_size",
    "workers": "data.num_workers",
    "output": "output_dir",
    "out": "output_dir",
    "checkpoint": "model.checkpoint",
    "device": "trainer",
    "gpus": "trainer.devices",
    "tokens": "tier=fixed tier.vision_tokens",
}
"""Options that other programs have, and the key that is meant."""


_FOLDERS = ("output_dir", "hydra.run.dir", "hydra.sweep.dir")
"""Keys of folders that are written to."""


def name_positional(arguments: Sequence[str], key: str) -> list[str]:
    """Make an override of the first argument, where it is a path and no override or option.

    Args:
        arguments: Arguments of the command line.
        key: That the path is the value of.
    """
    first, *rest = [*arguments, ""]
    if not first or first.startswith("-") or OVERRIDE.match(first):
        return list(arguments)
    return [f"{key}={quoted(first)}", *rest[:-1]]


def quoted(text: str) -> str:
    """A text as the value of an override, between quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def as_value(path: str) -> str:
    """A path as the value of an override, between quotes where Hydra needs them."""
    return path if _PLAIN.fullmatch(path) else quoted(path)


def prepare(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra is to read them.

    Args:
        arguments: As typed, without the command.

    Raises:
        ConfigError: A secret, an option that does not exist, or a shorthand that cannot work.
    """
    for argument in arguments:
        # Hydra writes its command line down as it is.
        key, _, value = argument.lstrip("+~").partition("=")
        refuse_credentials({key: value})
        _refuse_unreadable(argument.lstrip("+~"))
        _refuse_folders(key, value)
    _refuse_unknown_options(arguments)
    _refuse_several_options(arguments)
    # Hydra has no word for the option that a group does not have; it is the default.
    said = [argument for argument in arguments if argument != "experiment=null"]
    expanded = [expand_home(argument) for argument in spell_out_token_targets(said)]
    # Hydra's parser takes overrides in one piece only, not on both sides of an option.
    ordered = sorted(expanded, key=lambda argument: OVERRIDE.match(argument) is None)
    _refuse_options(ordered)
    return ordered


def expand_home(argument: str) -> str:
    """An override with `~` and `~name` written out where a value begins with them. Bash leaves
    them alone behind a `=`, and Hydra's grammar has no such value.
    """
    if OVERRIDE.match(argument) is None:
        return argument

    def written_out(match: re.Match[str]) -> str:
        try:
            return as_value(str(Path(match[0]).expanduser()))
        except RuntimeError as error:
            raise ConfigError(argument.partition("=")[0], match[0], f"a path ({error})") from None

    return _HOME.sub(written_out, argument)


def spell_out_token_targets(arguments: Sequence[str]) -> list[str]:
    """`vision_tokens_list=[432,720]` as the multirun that it stands for, of `tier=fixed`.

    Raises:
        ConfigError: No list, an empty one, or a tier beside it.
    """
    beside = [argument for argument in arguments if not argument.startswith(f"{TOKEN_TARGETS}=")]
    lists = [argument for argument in arguments if argument.startswith(f"{TOKEN_TARGETS}=")]
    if not lists:
        return beside
    value = lists[-1].partition("=")[2]
    if len(lists) > 1 or any(argument.startswith("tier=") for argument in beside):
        raise ConfigError(TOKEN_TARGETS, value, "one list, and no tier=... beside it")
    targets = [part.strip() for part in value.removeprefix("[").removesuffix("]").split(",")]
    bracketed = value.startswith("[") and value.endswith("]")
    if not bracketed or not all(target.isdecimal() for target in targets):
        example = ",".join(t for t in targets if t.isdecimal()) or "432,720"
        raise ConfigError(TOKEN_TARGETS, value, f"a list of token targets, such as [{example}]")
    rest = [argument for argument in beside if argument not in ("-m", "--multirun")]
    return ["--multirun", "tier=fixed", f"tier.vision_tokens={','.join(targets)}", *rest]


def own_config_dir(arguments: Sequence[str]) -> Path | None:
    """The folder behind `--config-dir`, where there is one."""
    parsed, _ = get_args_parser().parse_known_args(arguments)
    given = parsed.config_dir
    return None if given is None else Path(given).absolute()


def _refuse_unreadable(argument: str) -> None:
    """Numbers and lists with which Hydra's parser does not end well."""
    key, _, value = argument.partition("=")
    if re.search(rf"\d{{{_MOST_DIGITS + 1}}}", value):
        raise ConfigError(key, value, f"a number of at most {_MOST_DIGITS} digits")
    depth = deepest = 0
    for character in value:
        depth += (character in "[{(") - (character in ")}]")
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        raise ConfigError(key, value, f"brackets nested at most {_DEEPEST} deep")


def _refuse_folders(key: str, value: str) -> None:
    """Hydra takes anything for its folder, and nothing for the current one."""
    if key in _FOLDERS and value.strip("'\" ") in ("", "null", "???"):
        raise ConfigError(key, value, f"a folder; {key}=. is the current one")
    if key == "hydra":
        raise ConfigError(key, value, "a key of Hydra's own, hydra.KEY=VALUE; see --hydra-help")


def _refuse_unknown_options(arguments: Sequence[str]) -> None:
    """Hydra's own parser answers with its whole usage."""
    known = [option for action in get_args_parser()._actions for option in action.option_strings]
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        dashed = name.startswith("-") and not OVERRIDE.match(argument)
        short = not name.startswith("--") and name[:2] in known
        if not dashed or short or name in known or _abbreviates(name, known):
            continue
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        value = value or ("" if following.startswith("-") or "=" in following else following)
        raise ConfigError(name, value or None, f"an option of its own{_meant(name, value, known)}")


def _refuse_options(arguments: Sequence[str]) -> None:
    """Options that Hydra has, used in a way that it has not; its parser answers with its usage."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise TierexpError(message)

    parser.error = refuse  # type: ignore[method-assign]
    folder = parser.parse_args(list(arguments)).config_dir
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError("--config-dir", folder, "an existing folder")


def _refuse_several_options(arguments: Sequence[str]) -> None:
    """Hydra would merge the options of a list into one."""
    for argument in arguments:
        group, _, value = argument.partition("=")
        if value.startswith("[") and (config_dir() / group).is_dir():
            several = value.strip("[]").replace(" ", "")
            allowed = f"one option; -m {group}={several} runs each of them"
            raise ConfigError(group, value, allowed if several else f"one option, {group}=NAME")


def _abbreviates(name: str, known: Sequence[str]) -> bool:
    """Python's argparse takes the beginning of a long option for it where only one begins so."""
    return name.startswith("--") and sum(option.startswith(name) for option in known) == 1


def _meant(name: str, value: str, known: Sequence[str]) -> str:
    word = name.lstrip("-").replace("_", "-").lower()
    groups = [path.name for path in config_dir().iterdir() if path.is_dir()]
    key = _OTHER_NAMES.get(word) or (word if word in groups else None)
    if key is None and (close := get_close_matches(word, _OTHER_NAMES, n=1)):
        key = _OTHER_NAMES[close[0]]
    if key is not None:
        return f"; settings are KEY=VALUE: {key}={value or '...'}"
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; settings are KEY=VALUE, see --help"
