"""The command line: Hydra composes the configuration, and a user's mistake is worth one line.

In: a job and the name of its configuration. Out: an exit code, as the help text of each command
lists them. Knows nothing about what a job does; imports no torch, so that `--help` and `--cfg job`
answer at once. Hydra composes a configuration twice: once to learn whether it asks for a multirun,
and nothing in its interface spares that.
"""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tierexp.cli.begin import command
from tierexp.cli.help import help_text
from tierexp.cli.launchers import (
    accept_plugin_defaults,
    describe_launcher_error,
    is_launchers_defect,
)
from tierexp.cli.multirun import INTERRUPTED, Job, Outcome, Runs
from tierexp.cli.sweep import Check
from tierexp.config.arguments import as_value, own_config_dir, prepare
from tierexp.config.location import config_dir
from tierexp.config.overrides import describe_composition_error
from tierexp.config.refusal import path_trouble, refuse, refusing

Finish = Callable[[Sequence[Path]], None]
"""What a command does when all its runs are done."""

_OF_FOLDER = ("output_dir", "resume", "overwrite")

_OF_COMPOSITION = (
    HydraException, OmegaConfBaseException, YAMLError, RecursionError, TypeError, ValueError
)  # fmt: skip
"""What a configuration does that cannot be composed."""


def launch(
    job: Job,
    config_name: str,
    finish: Finish | None = None,
    check: Check | None = None,
    resumes: bool = False,
) -> None:
    """Compose the configuration from `sys.argv` and run a job on it, once or as a multirun.

    Args:
        job: Called with the composed configuration and the run's output folder. What it returns
            is what a Hydra sweeper optimises.
        config_name: Name of a primary configuration in `conf/`.
        finish: Called with the output folders of the runs once all are done.
        check: Called with the configuration and the folder of each run of a sweep before the first
            one begins.
        resumes: Whether resume=true goes on with an interrupted run, wherever it stopped.

    Raises:
        SystemExit: With code 2 after one line on stderr for a user's mistake, 1 after one for a
            machine that could not go on, 130 after Ctrl-C.
    """
    written = sys.argv[1:]
    if {"-h", "--help"} & {*written}:
        own = own_config_dir(written)
        sys.stdout.write(help_text(config_name, [config_dir(), *([] if own is None else [own])]))
        return
    with refusing():
        sys.argv[1:] = prepare(written)
    # Hydra then hands its exceptions on instead of printing them with hints of its own.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    accept_plugin_defaults()
    # Nobody needs the garbage of a process that ends; Python would look for it three times.
    atexit.register(gc.freeze)
    runs = Runs(job)
    with command(check) as running:
        try:
            with _explained(runs, config_name):
                _run(runs, config_name, finish)
        except KeyboardInterrupt:
            runs.collect()
            sys.stderr.write("interrupted\n")
            if resumes and running.folder is not None:
                sys.stderr.write(f"to go on:  {_resuming(written, running.folder)}\n")
            sys.exit(INTERRUPTED)


def _run(runs: Runs, config_name: str, finish: Finish | None) -> None:
    """Hydra's part, and what comes when all runs are done."""
    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)
    try:
        main(runs)()
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


@contextmanager
def _explained(runs: Runs, config_name: str) -> Iterator[None]:
    """End the process with one line after what a user or a machine has done; a defect passes."""
    try:
        # Hydra writes to the output folder before a run begins, a comparison after the last.
        with refusing():
            try:
                yield
            except FileNotFoundError as error:
                if runs.begun:
                    raise
                refuse(path_trouble(error))  # a folder in which there can be none, as in /proc
    except _OF_COMPOSITION as error:
        if runs.begun or is_launchers_defect(error, sys.argv[1:]):
            raise
        refuse(describe_composition_error(error, config_name, sys.argv[1:]))
    except (ImportError, RuntimeError) as error:
        line = describe_launcher_error(error)
        if line is None:
            raise
        refuse(line)


def _resuming(written: Sequence[str], folder: Path) -> str:
    """The command that goes on with what this one has left.

    Args:
        written: Its arguments.
        folder: Folder of its run or multirun.
    """
    kept = [word for word in written if word.partition("=")[0] not in _OF_FOLDER]
    script = Path(sys.argv[0])
    begin = f"python {script.name}" if script.suffix == ".py" else script.name
    return f"{begin} {shlex.join([*kept, f'output_dir={as_value(str(folder))}', 'resume=true'])}"


def _exit_unless_done(outcomes: Sequence[Outcome]) -> None:
    """End as the first run did that was not completed."""
    for outcome in outcomes:
        if outcome.code:
            sys.stderr.write(f"{outcome.message}\n" if outcome.message else "")
            sys.exit(outcome.code)
