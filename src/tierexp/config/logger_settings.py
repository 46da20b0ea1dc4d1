"""The group `logger` as far as it can be checked without W&B and Lightning, which take seconds to
import.

In: its values. Out: nothing, or one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from tierexp.config.checks import text, whole_number
from tierexp.errors import ConfigError

WandbMode = Literal["online", "offline", "shared", "disabled"]
Mode = Literal["auto"] | WandbMode
OLDER_NAMES: Mapping[str, WandbMode] = {"run": "online", "dryrun": "offline"}
"""Modes that W&B still takes under the names they had."""

_TARGET = "tierexp.report.wandb_logging.TierWandbLogger"
_MOST_SAMPLES = 1000
"""Each is drawn and uploaded."""
_NO_PROJECT = re.compile(r"[/\\#?%:]")
_LONGEST_PROJECT = 128
_LONGEST_TAG = 64
"""Characters, by W&B's rules."""


def check_logger(settings: Mapping[str, Any]) -> None:
    """Refuse a logger that could not be made; another one than W&B's knows itself.

    Args:
        settings: The group `logger`, resolved.

    Raises:
        ConfigError: A setting that W&B does not take, whatever it has been told elsewhere.
    """
    if settings.get("_target_") == _TARGET:
        check_wandb(settings)


def check_wandb(settings: Mapping[str, Any]) -> None:
    """The same of the arguments of `TierWandbLogger`."""
    mode = settings.get("mode", "auto")
    modes = ("auto", *get_args(WandbMode))
    if mode not in (*modes, *OLDER_NAMES):
        raise ConfigError("logger.mode", mode, f"one of {', '.join(modes)}")
    whole_number("logger.table_samples", settings.get("table_samples", 0), 0, _MOST_SAMPLES)
    name = text("logger.project", settings.get("project"))
    if len(name) > _LONGEST_PROJECT or _NO_PROJECT.search(name):
        allowed = f"at most {_LONGEST_PROJECT} characters, none of them / \\ # ? % :"
        raise ConfigError("logger.project", name, allowed)
    for key in ("name", "group", "entity", "job_type", "notes"):
        if settings.get(key) is not None:
            text(f"logger.{key}", settings[key])
    _check_tags(settings.get("tags"))


def _check_tags(tags: object) -> None:
    if tags is None:
        return
    if not isinstance(tags, list | tuple):
        raise ConfigError("logger.tags", tags, "a list of texts, such as [tiers,first]")
    for tag in tags:
        if len(text("logger.tags", tag)) > _LONGEST_TAG:
            raise ConfigError("logger.tags", tag, f"tags of at most {_LONGEST_TAG} characters")
