"""What became of each run of a multirun, known to the process that launched them all.

In: a job. Out: the same as Hydra calls it, in this process or, with a launcher such as joblib,
Ray or SLURM, in another one that shares the output folder; and then one outcome per run. A run
elsewhere leaves its outcome as a small file in the folder of the multirun, because a launcher hands
nothing but return values back, and those to the sweeper. Does not know which launcher it was.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import tierexp.config.names  # noqa: F401  registers its resolvers, elsewhere as well
from tierexp.cli.begin import begun_multiruns
from tierexp.cli.launchers import accept_plugin_defaults
from tierexp.config.rank import NotRankZero
from tierexp.config.refusal import ending_of, error_line, refusing
from tierexp.runtime.parent_watch import end_with

Job = Callable[[DictConfig, Path], Any]
"""What a command does with its configuration and its output folder."""

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        folder: Folder of the run, absolute.
        code: The exit code that it would have had alone.
        message: Why that is not 0, one line; empty where it is.
    """

    folder: str
    code: int = 0
    message: str = ""


class RunError(Exception):
    """A defect in a run that took place in another process; holds the traceback of that process,
    which the exception itself would lose on the way, if it could travel at all.
    """


class Runs:
    """A job as Hydra calls it, once per run. Copies made by pickle report to the original.

    Args:
        job: What each run does.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._elsewhere = False
        self._mailbox = f".outcomes-{secrets.token_hex(8)}"
        self._multiruns_before = len(begun_multiruns)
        self._outcomes: list[Outcome] = []
        self.begun = False
        """Whether a run has begun in this process."""

    def __getstate__(self) -> dict[str, Any]:
        """The job, and where to report to."""
        return self.__dict__ | {"_elsewhere": True, "_outcomes": [], "_launcher": _here()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in another process, where Hydra composes the run's configuration once more."""
        self.__dict__ |= state
        accept_plugin_defaults()
        launcher: _Place = state["_launcher"]
        # A job of SLURM is its own; whoever is on another machine cannot be watched.
        if launcher[:2] == _here()[:2] and launcher not in _watched:
            _watched.add(launcher)
            end_with(launcher[2])

    def __call__(self, config: DictConfig) -> Any:
        """Run the job.

        Args:
            config: As composed.

        Returns:
            What the job returns; None where a run elsewhere was refused or broken off.

        Raises:
            SystemExit: In the launching process, after one line about a mistake of the user or a
                machine that could not go on; no other run is begun.
            RunError: Elsewhere, a defect.
        """
        folder = HydraConfig.get().runtime.output_dir
        if self._elsewhere:
            return self._report(config, folder)
        self.begun = True
        # Hydra would keep an exception to itself until the other runs are done.
        with refusing():
            value = self._job(config, Path(folder))
        if isinstance(value, NotRankZero):
            return None
        self._outcomes.append(Outcome(folder))
        return value

    def _report(self, config: DictConfig, folder: str) -> Any:
        """Run the job elsewhere: however it ends, the process lives on for the next run."""
        value = None
        try:
            value = self._job(config, Path(folder))
            outcome = Outcome(folder)
        except KeyboardInterrupt:
            outcome = Outcome(folder, INTERRUPTED, "interrupted")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            outcome = Outcome(folder, code, end.code if isinstance(end.code, str) else "")
        except Exception as error:
            ending = ending_of(error)
            if ending is None:
                raise RunError(f"{folder}\n{traceback.format_exc()}") from None
            line, code = ending
            outcome = Outcome(folder, code, error_line(line))
        if isinstance(value, NotRankZero):
            return None
        hydra = HydraConfig.get()
        _post(outcome, Path(hydra.sweep.dir).absolute() / self._mailbox, hydra.job.num)
        return value

    @property
    def unheard_of(self) -> Path | None:
        """The folder of a multirun that is over and of which no run was collected, if there is."""
        begun = begun_multiruns[self._multiruns_before :]
        return begun[-1] if begun and not (self.begun or self._outcomes) else None

    def collect(self) -> list[Outcome]:
        """What the runs so far have come to, in their order; the files are removed."""
        for folder in begun_multiruns[self._multiruns_before :]:
            mailbox = folder / self._mailbox
            files = sorted(mailbox.glob("*.json"), key=lambda file: int(file.stem))
            self._outcomes += [Outcome(**json.loads(file.read_text("utf-8"))) for file in files]
            shutil.rmtree(mailbox, ignore_errors=True)
        return self._outcomes


_Place = tuple[str, str | None, int]
"""A machine, a job of SLURM, and a process."""

_watched: set[_Place] = set()
"""Launching processes that this one ends with."""


def _here() -> _Place:
    return socket.gethostname(), os.environ.get("SLURM_JOB_ID"), os.getpid()


def _post(outcome: Outcome, mailbox: Path, number: int) -> None:
    mailbox.mkdir(parents=True, exist_ok=True)
    # Renamed, so that nobody reads half of it.
    part = mailbox / f"{number}.part"
    part.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    part.replace(mailbox / f"{number}.json")
