"""The command line: Hydra composes the configuration, and a user's mistake is worth one line.

In: a task and the name of its configuration. Out: an exit code, as the help text of each command
lists them. Knows nothing about what a task does; imports no torch, so that `--help` and `--cfg job`
answer at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tierexp.errors import TierexpError
from tierexp.loading import config_dir
from tierexp.overrides import describe_composition_error, expand_token_targets

Task = Callable[[DictConfig, Path], Any]
"""What a command does with its configuration and its output folder."""
Finish = Callable[[Sequence[Path]], None]
"""What a command does when all its runs are done."""

_OVERRIDE = re.compile(r"~|\+{0,2}\w[\w/.@:$-]*=")
USER_ERROR = 2
INTERRUPTED = 130


def launch(task: Task, config_name: str, finish: Finish | None = None) -> None:
    """Compose the configuration from `sys.argv` and run a task on it, once or as a multirun.

    Args:
        task: Called with the composed configuration and the run's output folder. What it returns
            is what a Hydra sweeper optimises.
        config_name: Of a primary configuration in `conf/`.
        finish: Called with the output folders of the runs once all are done.

    Raises:
        SystemExit: With code 2 after one line on stderr for a user's mistake, 130 after Ctrl-C.
    """
    entered = False
    folders: list[Path] = []

    def guarded(config: DictConfig) -> Any:
        nonlocal entered
        entered = True
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            value = task(config, folder)
        except TierexpError as error:
            _refuse(str(error))
        folders.append(folder)
        return value

    try:
        sys.argv[1:] = _overrides_first(expand_token_targets(sys.argv[1:]))
    except TierexpError as error:
        _refuse(str(error))
    # Hydra then hands its exceptions on instead of printing them with hints of its own.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command = hydra.main(
        version_base="1.3", config_path=str(config_dir()), config_name=config_name
    )(guarded)
    try:
        command()
        if finish is not None and folders:
            finish(folders)
    except TierexpError as error:
        _refuse(str(error))
    except (HydraException, OmegaConfBaseException, TypeError, ValueError) as error:
        if entered:
            raise
        _refuse(describe_composition_error(error, config_name, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


def _overrides_first(arguments: list[str]) -> list[str]:
    """Hydra's parser takes overrides in one piece only, not on both sides of an option."""
    return sorted(arguments, key=lambda argument: _OVERRIDE.match(argument) is None)


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(USER_ERROR)
