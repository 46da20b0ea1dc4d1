"""Before anything is written: what Hydra's callbacks let a command do when it begins.

In: the composed configuration, with `hydra`. Out: a folder that no other command can enter until
this one ends, and a sweep that is known to work; or one line and exit code 2, since Hydra turns an
exception of a callback into a warning and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override

from tierexp.cli.sweep import Check, check_runs, tell_what_varies
from tierexp.config.rank import is_rank_zero
from tierexp.config.refusal import refusing
from tierexp.runtime.folder_lock import folder_lock

begun_multiruns: list[Path] = []
"""Folders of the multiruns that this process has begun, in their order."""


@dataclass
class _Command:
    """The one that is running.

    Args:
        check: What looks at its runs beforehand, in a sweep.
        folder: Folder of its run or multirun, once it has begun.
        held: Its folder's lock.
    """

    check: Check | None
    folder: Path | None = None
    held: ExitStack = field(default_factory=ExitStack)


_commands: list[_Command] = []


@contextmanager
def command(check: Check | None) -> Iterator[_Command]:
    """What happens inside belongs to one command, which gives its folder back in the end.

    Args:
        check: What looks at the runs of a sweep beforehand.
    """
    running = _Command(check)
    _commands.append(running)
    try:
        with running.held:
            yield running
    finally:
        _commands.remove(running)


class Begin(Callback):
    """The callback; `conf/hydra/callbacks`."""

    @override
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hold the folder of a single run, before Hydra writes to it."""
        _hold(config.hydra.run.dir)

    @override
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hold the folder of a multirun and look at all its runs."""
        begun_multiruns.append(Path(config.hydra.sweep.dir).absolute())
        _hold(config.hydra.sweep.dir)
        with refusing():
            tell_what_varies(config)
            check_runs(config, _commands[-1].check if _commands else None)


def _hold(folder: str) -> None:
    # Runs that a launcher has sent elsewhere belong to no command of their process.
    if _commands and is_rank_zero():
        running = _commands[-1]
        running.folder = Path(folder).absolute()
        with refusing():
            running.held.enter_context(folder_lock(running.folder))
