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

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from tierexp.cli.launchers import accept_plugin_defaults, describe_launcher_error
from tierexp.cli.multirun import INTERRUPTED, Outcome, Runs, Task
from tierexp.cli.overrides import describe_composition_error, expand_token_targets
from tierexp.config.credentials import refuse_credentials
from tierexp.config.location import config_dir
from tierexp.errors import MachineError, TierexpError
from tierexp.refusal import refuse, refusing

Finish = Callable[[Sequence[Path]], None]
"""What a command does when all its runs are done."""

_OVERRIDE = re.compile(r"~|\+{0,2}\w[\w/.@:$-]*=")


def launch(task: Task, config_name: str, finish: Finish | None = None) -> None:
    """Compose the configuration from `sys.argv` and run a task on it, once or as a multirun.

    Args:
        task: Called with the composed configuration and the run's output folder. What it returns
            is what a Hydra sweeper optimises.
        config_name: Of a primary configuration in `conf/`.
        finish: Called with the output folders of the runs once all are done.

    Raises:
        SystemExit: With code 2 after one line on stderr for a user's mistake, 1 after one for a
            machine that could not go on, 130 after Ctrl-C.
    """
    try:
        _refuse_written_credentials(sys.argv[1:])
        sys.argv[1:] = _overrides_first(expand_token_targets(sys.argv[1:]))
    except TierexpError as error:
        refuse(error)
    # Hydra then hands its exceptions on instead of printing them with hints of its own.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    accept_plugin_defaults()
    runs = Runs(task)
    command = hydra.main(
        version_base="1.3", config_path=str(config_dir()), config_name=config_name
    )(runs)
    try:
        try:
            command()
        except Exception:
            # A sweeper may have stumbled over a run that ended without a value.
            _exit_unless_done(runs.collect())
            raise
        outcomes = runs.collect()
        runs.begun = runs.begun or bool(outcomes)
        _exit_unless_done(outcomes)
        if runs.unheard_of:
            refuse(
                f"no run of this multirun has left word in {runs.unheard_of}: its processes need "
                "that folder, too; give output_dir an absolute path on a file system they share"
            )
        if finish is not None and outcomes:
            finish([Path(outcome.folder) for outcome in outcomes])
    except TierexpError as error:
        refuse(error)
    except (HydraException, OmegaConfBaseException, TypeError, ValueError) as error:
        if runs.begun:
            raise
        refuse(describe_composition_error(error, config_name, sys.argv[1:]))
    except (MachineError, OSError) as error:
        # Hydra writes to the output folder before a run begins, a comparison after the last.
        with refusing():
            raise error
    except (ImportError, RuntimeError) as error:
        line = describe_launcher_error(error)
        if line is None:
            raise
        refuse(line)
    except KeyboardInterrupt:
        runs.collect()
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


def _exit_unless_done(outcomes: Sequence[Outcome]) -> None:
    """End as the first run did that was not completed."""
    for outcome in outcomes:
        if outcome.code:
            sys.stderr.write(f"{outcome.message}\n" if outcome.message else "")
            sys.exit(outcome.code)


def _refuse_written_credentials(arguments: Sequence[str]) -> None:
    """Refuse secrets on the command line, which Hydra writes down as it is."""
    for argument in arguments:
        key, _, value = argument.lstrip("+~").partition("=")
        refuse_credentials({key: value})


def _overrides_first(arguments: list[str]) -> list[str]:
    """Hydra's parser takes overrides in one piece only, not on both sides of an option."""
    return sorted(arguments, key=lambda argument: _OVERRIDE.match(argument) is None)
