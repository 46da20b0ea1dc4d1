"""The command line: Hydra composes the configuration, and a user's mistake is worth one line.

In: a task and the name of its configuration. Out: an exit code, as the help text of each command
lists them. Knows nothing about what a task does; imports no torch, so that `--help` and `--cfg job`
answer at once. Hydra composes a configuration twice: once to learn whether it asks for a multirun,
and nothing in its interface spares that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from tierexp.cli.arguments import own_config_dir, prepare
from tierexp.cli.help import help_text
from tierexp.cli.launchers import accept_plugin_defaults, describe_launcher_error
from tierexp.cli.multirun import INTERRUPTED, Outcome, Runs, Task
from tierexp.cli.overrides import describe_composition_error
from tierexp.cli.refusal import refuse, refusing
from tierexp.config.location import config_dir
from tierexp.errors import MachineError, TierexpError

Finish = Callable[[Sequence[Path]], None]
"""What a command does when all its runs are done."""


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
    if {"-h", "--help"} & {*sys.argv[1:]}:
        own = own_config_dir(sys.argv[1:])
        sys.stdout.write(help_text(config_name, [config_dir(), *([] if own is None else [own])]))
        return
    try:
        sys.argv[1:] = prepare(sys.argv[1:])
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
