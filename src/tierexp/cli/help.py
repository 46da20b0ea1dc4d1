"""The text of `--help`, built from the configuration: what a file's first comment says of an option
is what a user reads.

In: the name of a primary configuration. Out: its groups with their options, its keys, and what the
comments at its head and its end say. Nothing is written twice: a new option file is in the help.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

WIDTH = 80
_INDENT = 18
_COMMENTED_KEY = re.compile(
    r"(?P<indent> *)(?P<key>\w+): ?(?P<value>[^#]*?)\s*(?:# (?P<note>.*))?$"
)
_DEFAULT = re.compile(r"  - (?P<group>[\w/]+): \"?(?P<option>\w+)\"?(?:  # (?P<about>.*))?$")
_COMMAND = re.compile(r"python (\w+)\.py")
_HIDDEN = ("hydra",)
"""Keys that are Hydra's own business; `--hydra-help` explains them."""


def help_text(config_name: str, folders: Sequence[Path]) -> str:
    """What `python NAME.py --help` prints, at most 80 columns wide.

    Args:
        config_name: Name of the primary configuration.
        folders: Folders of configuration groups: the project's, and the user's own where there is
            one.
    """
    primary = (folders[0] / f"{config_name}.yaml").read_text(encoding="utf-8")
    head, _, body = primary.partition("defaults:\n")
    about, ending = _comment(head.splitlines()), _trailing_comment(body)
    lines = [
        *_unwrapped(about),
        "",
        f"  python {config_name}.py [GROUP=OPTION | KEY=VALUE] ...",
        "",
    ]
    lines += ["Each group is a folder of conf/, each option a file in it; * is the default.", ""]
    for match in filter(None, map(_DEFAULT.match, body.splitlines())):
        about_group = f": {match['about']}" if match["about"] else ""
        lines += ["", f"{match['group']}{about_group}"]
        lines += _options(config_name, match["group"], match["option"], folders)
    lines += ["", "keys (--cfg job prints all of them, those of the groups too)"]
    lines += _keys(body)
    return "\n".join([*lines, "", *ending]) + "\n"


def _options(command: str, group: str, default: str, folders: Sequence[Path]) -> list[str]:
    """A group's options, a line or more each: the default first, then by name."""
    files = {path.stem: path for folder in folders for path in (folder / group).glob("*.yaml")}
    lines = []
    for option in sorted(files, key=lambda name: (name != default, _by_number(name))):
        text = files[option].read_text(encoding="utf-8").splitlines()
        if (others := _COMMAND.findall("\n".join(text))) and command not in others:
            continue  # an experiment of another command
        said = _comment([line for line in text if not line.startswith("# @package")])
        name = f"  {option}{' *' if option == default else ''}"
        lines += _column(name, _first_sentence(said))
        if option == default:
            lines += [line for key in _settings(text) for line in key]
    return lines


def _settings(text: Sequence[str]) -> Iterator[list[str]]:
    """The keys of an option, with the comments above or behind them."""
    above: list[str] = []
    for number, line in enumerate(text):
        match = _COMMENTED_KEY.fullmatch(line)
        if line.startswith("#"):
            above = [*above, line] if number else []
        elif match and not match["indent"] and match["key"] not in ("_target_", "defaults"):
            note = match["note"] or " ".join(_comment(above))
            shown = "" if "${" in match["value"] or not match["value"] else f"={match['value']}"
            yield _column(f"    {match['key']}{shown}", note)
            above = []
        else:
            above = []


def _keys(body: str) -> list[str]:
    """The keys of the primary configuration itself, with the comments above them."""
    lines: list[str] = []
    above: list[str] = []
    inside = ""
    for line in body.splitlines():
        match = _COMMENTED_KEY.fullmatch(line)
        if line.startswith("#"):
            above.append(line)
            continue
        if match and not match["indent"]:
            inside = match["key"]
        if match and match["value"] and inside not in _HIDDEN:
            nested = bool(match["indent"])
            key = f"{inside}.{match['key']}" if nested else match["key"]
            note = match["note"] or " ".join(_comment(above))
            lines += _column(f"  {key}", note)
            above = []
        elif not line.strip():
            above = []
    return lines


def _column(name: str, text: str) -> list[str]:
    """A name and what is said of it, wrapped behind a margin."""
    wrapped = textwrap.wrap(text, WIDTH - _INDENT - 1, break_on_hyphens=False) or [""]
    first = f"{name:{_INDENT}} {wrapped[0]}".rstrip()
    if len(name) > _INDENT:
        return [name, *(f"{'':{_INDENT}} {line}" for line in wrapped)]
    return [first, *(f"{'':{_INDENT}} {line}" for line in wrapped[1:])]


def _comment(lines: Sequence[str]) -> list[str]:
    """The comment that some lines begin with, without its marks."""
    said = []
    for line in lines:
        if not line.startswith("#"):
            break
        said.append(line.removeprefix("#").removeprefix(" "))
    return said


def _trailing_comment(body: str) -> list[str]:
    """The comment that a file ends with: examples and exit codes, as they are."""
    lines = body.rstrip().splitlines()
    start = len(lines)
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return _comment(lines[start:])


def _unwrapped(lines: Sequence[str]) -> list[str]:
    return textwrap.wrap(" ".join(lines), WIDTH)


def _first_sentence(lines: Sequence[str]) -> str:
    """The first paragraph up to its first full stop that ends a sentence."""
    paragraph = " ".join(lines).split("  ")[0]
    sentence = re.match(r"(.*?[.!?])(?:\s+[A-Z(]|$)", paragraph)
    return (sentence[1] if sentence else paragraph).rstrip(".:")


def _by_number(name: str) -> tuple[str, int]:
    """Names that end in numbers, in the order of these."""
    word = name.rstrip("0123456789")
    return word, int(name[len(word) :] or 0)
