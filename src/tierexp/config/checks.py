"""Checks of single configuration values, each refused with its key, its value and what is allowed.

YAML and the command line hold whatever was written, so values are taken as `object`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tierexp.errors import ConfigError

MAX_SEED = 2**32 - 1
"""The largest seed that every random generator takes."""


def whole_number(key: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """A whole number from `minimum` to `maximum`, where there is one.

    Raises:
        ConfigError: It is none.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < minimum
        or (maximum is not None and value > maximum)
    ):
        bounds = f">= {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ConfigError(key, value, f"a whole number {bounds}")
    return value


def optional_whole_number(
    key: str, value: object, minimum: int, maximum: int | None = None
) -> int | None:
    """The same, or None.

    Raises:
        ConfigError: It is neither.
    """
    try:
        return None if value is None else whole_number(key, value, minimum, maximum)
    except ConfigError as error:
        raise ConfigError(key, value, f"{error.allowed}, or null") from None


def number(key: str, value: object, minimum: float) -> float:
    """A finite number from `minimum` on.

    Raises:
        ConfigError: It is none.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < minimum
    ):
        raise ConfigError(key, value, f"a finite number >= {minimum:g}")
    return float(value)


def flag(key: str, value: object) -> bool:
    """True or false.

    Raises:
        ConfigError: It is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(key, value, "true or false")
    return value


def choice(key: str, value: object, options: Sequence[str]) -> None:
    """One of the options.

    Raises:
        ConfigError: It is none of them.
    """
    if value not in options:
        raise ConfigError(key, value, f"one of {', '.join(options)}")


def text(key: str, value: object) -> str:
    """Text that is not empty.

    Raises:
        ConfigError: It is no such text.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(key, value, "text that is not empty")
    return value


def path(key: str, value: object) -> Path:
    """A path, `~` expanded; nothing need be there.

    Raises:
        ConfigError: It is no text.
    """
    if isinstance(value, Path):
        return value.expanduser()
    return Path(text(key, value)).expanduser()


def refuse_overwriting(files: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over the results of a command.

    Args:
        files: That it would write.
        overwrite: Whether it may.

    Raises:
        ConfigError: One of them is there, and it may not.
    """
    for file in files:
        if file.exists() and not overwrite:
            allowed = f"a folder without results ({file.name}): overwrite=true replaces them"
            raise ConfigError("output_dir", str(file.parent), allowed)
