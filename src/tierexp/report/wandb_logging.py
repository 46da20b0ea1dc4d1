"""Weights & Biases: Lightning's logger, offline unless the user is logged in, never a prompt.

In: what Lightning logs, samples to show, files to keep. Out: a W&B run, on the server or in a local
folder that `wandb sync` uploads later, from wherever it has been moved to.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import WandbLogger
from typing_extensions import override

from tierexp.config.logger_settings import Mode, check_wandb
from tierexp.errors import ConfigError
from tierexp.report.lean_wandb import lean_start
from tierexp.report.sample_table import SampleRow, SampleTableLogger
from tierexp.report.wandb_settings import refuse_run_id, wandb_mode
from tierexp.results.metrics import Metric


class TierWandbLogger(WandbLogger, SampleTableLogger):
    """Lightning's W&B logger with a mode that suits a machine nobody has logged in on.

    Args:
        save_dir: Folder of the run's local files.
        project: W&B project.
        name: Name of the run.
        group: Runs of one sweep share it; None for a run of its own.
        mode: `auto` follows WANDB_MODE, `wandb offline` and `wandb disabled`; else it is online
            where the user has logged in and offline elsewhere. `disabled` logs nothing.
        table_samples: How many samples the table `samples` shows.
        entity: The user or team whose project it is; None for W&B's own default.
        tags: Tags of the run, at most 64 characters each; None for W&B's own default.
        notes: On the run, likewise.
        job_type: Type of the run, such as `eval`, likewise.

    Raises:
        ConfigError: An unknown mode, online without a login or a connection, a number of samples
            below 0, names that W&B does not take, or one run id for all runs of a multirun.
    """

    def __init__(
        self,
        save_dir: Path | str,
        project: str,
        name: str | None = None,
        group: str | None = None,
        mode: Mode = "auto",
        table_samples: int = 16,
        entity: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        job_type: str | None = None,
    ) -> None:
        labels = {
            "name": name, "group": group, "entity": entity, "job_type": job_type, "notes": notes
        }  # fmt: skip
        shown = {"project": project, "mode": mode, "table_samples": table_samples, "tags": tags}
        check_wandb(shown | labels)
        self.table_samples = table_samples
        started_in = wandb_mode(mode)
        if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
            refuse_run_id("in a multirun, whose runs would be written over one another")
        try:
            with lean_start(offline=started_in in ("offline", "disabled")):
                run = wandb.init(
                    dir=save_dir, project=project, name=name, group=group, entity=entity,
                    job_type=job_type, notes=notes, tags=tags, mode=started_in,
                    # Without git: the address of a remote may hold a token. The commit is in the
                    # results file, which is an artifact of the run.
                    settings=wandb.Settings(silent=True, console="off", disable_git=True),
                )  # fmt: skip
        except wandb.Error as error:
            raise ConfigError("logger.mode", mode, f"W&B cannot start: {error}") from error
        self._folder = Path(save_dir).resolve()
        if run.offline:
            _keep_movable(run, self._folder)
        super().__init__(save_dir=save_dir, project=project, name=name, experiment=run)

    def log_sample_table(self, rows: Sequence[SampleRow], metrics: Sequence[Metric]) -> None:
        """Log the W&B table `samples`."""
        columns: list[str | int] = []
        data = []
        pictures: dict[int, wandb.Image] = {}  # questions about one image share its figure
        for row in rows:
            result, figure = row.result, row.figure
            if id(figure) not in pictures:
                pictures[id(figure)] = wandb.Image(figure)
            cells = {
                "sample_id": result.sample_id,
                "task": result.task,
                "tiling": pictures[id(figure)],
                **{m.stem: result.metrics.get(m.name) for m in metrics},
                "question": result.question,
                "prediction": result.prediction,
                "answers": " | ".join(result.answers),
                "accuracy": result.accuracy,
            }
            columns = list(cells)
            data.append(list(cells.values()))
        self.log_media({"samples": wandb.Table(columns=columns, data=data)})

    def log_media(self, values: Mapping[str, Any]) -> None:
        """Log tables, pages and pictures; in an offline run all their files lie in its folder.

        Args:
            values: Name to an object of `wandb.data_types`.
        """
        with self._staging():
            self.experiment.log(dict(values))

    def log_file(self, file: Path, kind: str) -> None:
        """Keep a file as a W&B artifact of the run.

        Args:
            file: What to keep; the artifact has its name.
            kind: The artifact's type, such as `results`.
        """
        name = re.sub(r"[^\w.-]", "-", file.stem, flags=re.ASCII)[:128]
        artifact = wandb.Artifact(name, type=kind)
        with self._staging():
            artifact.add_file(str(file), name=file.name)
            self.experiment.log_artifact(artifact)

    def whereabouts(self) -> str:
        """Where the run is to be found, for the user; to be asked before `finish`."""
        run = self.experiment
        if run.disabled:
            return "W&B is disabled"
        if run.offline:
            # The files of an offline run are named from here.
            place = os.path.relpath(_run_folder(run), self._folder)
            sync = f"cd {shlex.quote(str(self._folder))} && wandb sync {shlex.quote(place)}"
            return f"W&B, offline; to upload it: {sync}"
        return f"W&B, {run.url}"

    @override
    def finish(self, exit_code: int) -> None:
        """Write what is left and close the run, so that a next one in this process is its own."""
        self.experiment.finish(exit_code=exit_code)

    @contextmanager
    def _staging(self) -> Iterator[None]:
        """Where W&B keeps the files of artifacts until they are uploaded: of an offline run in its
        folder, unless the user says where.
        """
        run, name = self.experiment, "WANDB_DATA_DIR"
        if not run.offline or name in os.environ:
            yield
            return
        os.environ[name] = str(_run_folder(run))
        try:
            yield
        finally:
            del os.environ[name]


def _run_folder(run: wandb.Run) -> Path:
    return Path(run.dir).resolve().parent


def _keep_movable(run: wandb.Run, folder: Path) -> None:
    """Have an offline run name the files of its artifacts from a folder, not from the root of this
    machine: `wandb sync` opens them by these names.
    """
    log_artifact = run.log_artifact

    def named_from_folder(artifact: wandb.Artifact, *args: Any, **kwargs: Any) -> wandb.Artifact:
        # A table that is logged comes through here, too.
        if isinstance(artifact, wandb.Artifact):
            for entry in artifact.manifest.entries.values():
                path = None if entry.local_path is None else Path(entry.local_path).resolve()
                if path is not None and path.is_relative_to(folder):
                    entry.local_path = str(path.relative_to(folder))
        return log_artifact(artifact, *args, **kwargs)

    run.log_artifact = named_from_folder  # type: ignore[method-assign,assignment]
