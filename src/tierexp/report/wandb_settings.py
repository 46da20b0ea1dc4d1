"""What W&B itself has been told: by its environment variables, its settings files, its login.

In: nothing but W&B's own readers, so that everything W&B follows is followed. Out: the mode to
start it in, and one line about what it would stumble over. Starts no run and no process, and asks
nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import wandb
from pydantic import ValidationError
from wandb.errors import AuthenticationError
from wandb.sdk import wandb_setup
from wandb.sdk.lib import wbauth

from tierexp.config.logger_settings import OLDER_NAMES, WandbMode
from tierexp.errors import ConfigError


def own_settings() -> wandb.Settings:
    """W&B's settings as it reads them itself, once per process.

    Raises:
        ConfigError: An environment variable, or a line of a settings file, that W&B refuses.
    """
    try:
        with _silent():
            return wandb_setup.singleton().settings
    except ValidationError as error:
        first = error.errors()[0]
        name = f"WANDB_{'_'.join(map(str, first['loc'])).upper()}"
        raise ConfigError(name, first["input"], first["msg"]) from error
    except wandb.Error as error:
        raise _refused_variable(error) from error


def wandb_mode(mode: str) -> WandbMode:
    """The mode to start W&B in.

    Args:
        mode: As configured. `auto` follows WANDB_MODE, then what `wandb offline` or `wandb
            disabled` have set; else it is online where the user has logged in, and offline
            elsewhere.

    Raises:
        ConfigError: The mode is unknown, or it needs a login and nobody has logged in: W&B would
            ask for a key.
    """
    key, asked = "logger.mode", mode
    if mode == "auto":
        settings = own_settings()
        if "mode" not in settings.model_fields_set:
            return "online" if logged_in() else "offline"
        key = "WANDB_MODE" if "WANDB_MODE" in os.environ else "mode in W&B's settings"
        asked = str(settings.mode)
    known: dict[str, WandbMode] = {name: name for name in get_args(WandbMode)}
    found = known.get(OLDER_NAMES.get(asked, asked))
    if found is None:
        raise ConfigError(key, asked, f"one of auto, {', '.join(known)}")
    if found in ("online", "shared") and not logged_in():
        allowed = "after `wandb login` or with WANDB_API_KEY set; offline needs neither"
        raise ConfigError(key, asked, allowed)
    return found


def logged_in() -> bool:
    """Whether W&B finds credentials for its server without asking.

    Raises:
        ConfigError: It finds some that cannot be any.
    """
    settings = own_settings()
    try:
        with _silent():
            found = wbauth.authenticate_session(
                host=settings.base_url, source="tierexp", prompt=False, update_session=False
            )
    except AuthenticationError as error:
        allowed = f"what `wandb login` takes for {settings.base_url}: {error}"
        raise ConfigError("the key for W&B", "***", allowed) from error
    return found is not None


def refuse_run_id(reason: str) -> None:
    """Refuse to give a run the id that the environment has for another one.

    Args:
        reason: What would happen, behind "unset".

    Raises:
        ConfigError: WANDB_RUN_ID is set.
    """
    run_id = own_settings().run_id
    if run_id is not None:
        raise ConfigError("WANDB_RUN_ID", run_id, f"unset {reason}")


def _refused_variable(error: wandb.Error) -> ConfigError:
    """The complaint about what W&B has refused without saying where it stands."""
    for name, value in os.environ.items():
        if name.startswith("WANDB_"):
            try:
                wandb.Settings().update_from_env_vars({name: value})
            except wandb.Error:
                return ConfigError(name, value, str(error))
    return ConfigError("logger", "wandb", f"W&B refuses what its settings files say: {error}")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep W&B from telling on stderr which files it reads."""
    before = os.environ.get("WANDB_SILENT")
    os.environ["WANDB_SILENT"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_SILENT"]
        else:
            os.environ["WANDB_SILENT"] = before
