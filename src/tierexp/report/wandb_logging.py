"""Weights & Biases: Lightning's logger, offline unless the user is logged in, never a prompt.

In: what Lightning logs, samples to show, files to keep. Out: a W&B run, on the server or in a local
folder that `wandb sync` uploads later.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlparse

import wandb
from lightning.pytorch.loggers import WandbLogger

from tierexp.config.checks import whole_number
from tierexp.errors import ConfigError
from tierexp.report.sample_table import SampleRow, SampleTableLogger
from tierexp.results.metrics import Metric

WandbMode = Literal["online", "offline", "disabled"]
Mode = Literal["auto"] | WandbMode


class TierWandbLogger(WandbLogger, SampleTableLogger):
    """Lightning's W&B logger with a mode that suits a machine nobody has logged in on.

    Args:
        save_dir: Folder of the run's local files.
        project: W&B project.
        name: Of the run.
        group: Runs of one sweep share it; None for a run of its own.
        mode: `auto` follows the environment variable WANDB_MODE where it is set; else it is online
            where the user has logged in and offline elsewhere. `disabled` logs nothing.
        table_samples: How many samples the table `samples` shows.

    Raises:
        ConfigError: An unknown mode, online without a login or a connection, or a number of
            samples below 0.
    """

    def __init__(
        self,
        save_dir: Path | str,
        project: str,
        name: str | None = None,
        group: str | None = None,
        mode: Mode = "auto",
        table_samples: int = 16,
    ) -> None:
        self.table_samples = whole_number("logger.table_samples", table_samples, 0)
        try:
            run = wandb.init(
                dir=save_dir,
                project=project,
                name=name,
                group=group,
                mode=wandb_mode(mode),
                # Without git: the address of a remote may hold a token. The commit is in the
                # results file, which is an artifact of the run.
                settings=wandb.Settings(silent=True, console="off", disable_git=True),
            )
        except wandb.Error as error:
            raise ConfigError("logger.mode", mode, f"W&B cannot start: {error}") from error
        super().__init__(save_dir=save_dir, project=project, name=name, experiment=run)

    def log_sample_table(self, rows: Sequence[SampleRow], metrics: Sequence[Metric]) -> None:
        """Log the W&B table `samples`."""
        columns: list[str] = []
        data = []
        for row in rows:
            result = row.result
            cells = {
                "sample_id": result.sample_id,
                "task": result.task,
                "tiling": wandb.Image(row.figure),
                **{m.stem: result.metrics.get(m.name) for m in metrics},
                "question": result.question,
                "prediction": result.prediction,
                "answers": " | ".join(result.answers),
                "accuracy": result.accuracy,
            }
            columns = list(cells)
            data.append(list(cells.values()))
        self.log_table("samples", columns=columns, data=data)

    def log_file(self, file: Path, kind: str) -> None:
        """Keep a file as a W&B artifact of the run.

        Args:
            file: What to keep; the artifact has its name.
            kind: The artifact's type, such as `results`.
        """
        name = re.sub(r"[^\w.-]", "-", file.stem, flags=re.ASCII)[:128]
        artifact = wandb.Artifact(name, type=kind)
        artifact.add_file(str(file), name=file.name)
        self.experiment.log_artifact(artifact)

    def whereabouts(self) -> str:
        """Where the run is to be found, for the user; to be asked before `finish`."""
        run = self.experiment
        if run.disabled:
            return "W&B is disabled"
        if run.offline:
            return f"W&B, offline; wandb sync {Path(run.dir).parent} uploads it"
        return f"W&B, {run.url}"

    def finish(self, exit_code: int) -> None:
        """Write what is left and close the run, so that a next one in this process is its own."""
        self.experiment.finish(exit_code=exit_code)


def wandb_mode(mode: Mode) -> WandbMode | None:
    """The mode to start W&B in; None leaves it to W&B's own settings.

    Args:
        mode: As configured.

    Raises:
        ConfigError: WANDB_MODE is unknown, or the mode would be online and nobody has logged in:
            W&B would ask for a key.
    """
    key, asked = "logger.mode", str(mode)
    if mode == "auto":
        key, asked = "WANDB_MODE", os.environ.get("WANDB_MODE", "")
        if not asked:
            return None if logged_in() else "offline"
    known: dict[str, WandbMode] = {name: name for name in get_args(WandbMode)}
    if asked not in known:
        others = "auto, " if mode != "auto" else ""
        raise ConfigError(key, asked, f"one of {others}{', '.join(known)}")
    if asked == "online" and not logged_in():
        allowed = "after `wandb login` or with WANDB_API_KEY set; offline needs neither"
        raise ConfigError(key, asked, allowed)
    return known[asked]


def logged_in() -> bool:
    """Whether W&B finds credentials without asking: in its environment variables, or in the netrc
    file that `wandb login` writes.
    """
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    named = os.environ.get("NETRC")
    candidates = [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]
    for candidate in candidates:
        try:
            if host is not None and netrc(str(candidate.expanduser())).authenticators(host):
                return True
        except (OSError, NetrcParseError):
            continue
    return False
