"""Where rows come from: parquet files on the hub or in a folder, or a data set saved to disk.

In: an id or a path, and a split. Out: a table of Hugging Face `datasets`, images undecoded. Nothing
but parquet and Arrow is read, so no code of a data set is ever run and nothing is unpickled;
`datasets` itself is imported when a table is opened. Knows nothing about questions.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tierexp.errors import ConfigError, DataError
from tierexp.errors.json_text import parse_json

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

Opened = TypeVar("Opened")

_SPLIT = re.compile(r"(?P<split>.+?)(-\d{5}-of-\d{5}.*)?\.parquet")
"""The names of files on the hub: `validation-00000-of-00009-0a1b.parquet`, or the split alone."""
_SAVED, _SAVED_SPLITS = "state.json", "dataset_dict.json"
"""What `save_to_disk` writes beside the Arrow files of a split, and beside several splits."""


@dataclass(frozen=True)
class Source:
    """The rows of one split.

    Args:
        hub: Id on the hub, `lmms-lab-encoder/MME`; None where `path` says it all.
        path: A local copy, which is read instead: a folder laid out as on the hub, one that
            `Dataset.save_to_disk` wrote, or a single parquet or Arrow file, which is taken whole.
        configs: Folders of the data set to read, one after the other; none looks for the split
            wherever it is.
        split: `train`, `validation`, `test`, ...
        revision: Branch, tag or commit on the hub; None is its main branch.

    Raises:
        ConfigError: Neither id nor path.
    """

    hub: str | None
    path: Path | None
    configs: tuple[str, ...]
    split: str
    revision: str | None

    def __post_init__(self) -> None:
        if self.hub is None and self.path is None:
            allowed = "a folder with the data, or its id on the hub as data.hub=NAME/DATASET"
            raise ConfigError("data.path", None, allowed)

    @property
    def name(self) -> str:
        """The last part of the path or the id, without a suffix."""
        if self.path is not None:
            return self.path.resolve().stem
        assert self.hub is not None
        return self.hub.rpartition("/")[2]

    @property
    def where(self) -> str:
        """The source in a few words, for messages."""
        if self.path is not None and self.path.is_file():
            return str(self.path)
        return f"{self.hub if self.path is None else self.path}, split {self.split}"

    def table(self, image: str) -> Dataset:
        """All rows; what is on the hub is downloaded to its cache first.

        Args:
            image: The column of images, left undecoded.

        Raises:
            ConfigError: A path with nothing to read.
            DataError: No such split, a damaged file, or a hub that does not answer.
        """
        datasets = _datasets(self.hub or str(self.path))
        if self.path is not None and (saved := self._saved()) is not None:
            if saved.is_dir():
                _refuse_names_of_elsewhere(saved / _SAVED)
            load = datasets.Dataset.from_file if saved.is_file() else datasets.load_from_disk
            table: Dataset = self._open(lambda: load(str(saved)))
        else:
            table = self._open(self._parquet(datasets, streaming=False))
        return _undecoded(table, image)

    def stream(self, image: str) -> IterableDataset:
        """The rows one after the other, downloaded as they are asked for.

        Args:
            image: The column of images, left undecoded.

        Raises:
            ConfigError: A source that is not made of parquet files.
            DataError: As for `table`.
        """
        datasets = _datasets(self.hub or str(self.path))
        if self.path is not None and self._saved() is not None:
            raise ConfigError("data.streaming", True, "false: the data is on this machine already")
        rows = self._open(self._parquet(datasets, streaming=True))
        return _undecoded(rows, image)

    def first(self, count: int, image: str) -> Dataset:
        """The first rows of `stream`, held in memory.

        Args:
            count: Most rows.
            image: The column of images.

        Raises:
            DataError: As for `table`.
        """
        rows = self.stream(image)
        datasets = _datasets(self.where)
        features = rows.features
        return self._open(
            lambda: datasets.Dataset.from_list(list(rows.take(count)), features=features)
        )

    def _saved(self) -> Path | None:
        """The folder of a saved split or the Arrow file; None where there is neither."""
        assert self.path is not None
        if self.path.suffix == ".arrow" and self.path.is_file():
            return self.path
        if (self.path / _SAVED).is_file():
            return self.path
        if not (self.path / _SAVED_SPLITS).is_file():
            return None
        folder = self.path / self.split
        if not (folder / _SAVED).is_file():
            splits = [path.parent.name for path in self.path.glob(f"*/{_SAVED}")]
            raise self._no_split(sorted(splits))
        return folder

    def _parquet(self, datasets: Any, streaming: bool) -> Callable[[], Any]:
        """What opens the parquet files, with nothing left to guess."""
        if self.path is not None:
            files = [str(file) for file in self._local_files()]
            # Not load_dataset("parquet"), which would report to the hub that it was called.
            return lambda: datasets.Dataset.from_parquet(files, streaming=streaming)
        patterns = [f"{config}/{self.split}-*.parquet" for config in self.configs or ("**",)]
        return lambda: datasets.load_dataset(
            self.hub,
            data_files={self.split: patterns},
            split=self.split,
            revision=self.revision,
            # Sizes on the data set's card are those of all splits; one alone is read here.
            verification_mode="no_checks",
            streaming=streaming,
        )

    def _local_files(self) -> list[Path]:
        assert self.path is not None
        if self.path.is_file():
            if self.path.suffix != ".parquet":
                raise ConfigError("data.path", str(self.path), "a .parquet or .arrow file")
            return [self.path]
        if not self.path.is_dir():
            raise ConfigError("data.path", str(self.path), "an existing folder or .parquet file")
        files: list[Path] = []
        for folder in self._config_folders():
            found = sorted(folder.rglob("*.parquet"))
            if not found:
                raise DataError(f"{folder}: no .parquet file in this folder or below it")
            by_split: dict[str, list[Path]] = {}
            for file in found:
                match = _SPLIT.fullmatch(file.name)
                by_split.setdefault(match["split"] if match else file.stem, []).append(file)
            if self.split not in by_split:
                raise self._no_split(sorted(by_split))
            files += by_split[self.split]
            folders = sorted(
                {str(file.parent.relative_to(folder)) for file in by_split[self.split]}
            )
            if len(folders) > 1:
                allowed = f"one of {', '.join(folders)}: each has a split {self.split}"
                raise ConfigError("data.config", None, allowed)
        return files

    def _config_folders(self) -> list[Path]:
        assert self.path is not None
        folders = [self.path / config for config in self.configs] or [self.path]
        for config, folder in zip(self.configs, folders, strict=False):
            if not folder.is_dir():
                allowed = f"a folder in {self.path}, or null to read {self.path} itself"
                raise ConfigError("data.config", config, allowed)
        return folders

    def _no_split(self, splits: list[str]) -> ConfigError:
        place = f"{self.path} has" if self.path is not None else f"{self.hub} has"
        return ConfigError("data.split", self.split, f"{place} {', '.join(splits) or 'none'}")

    def _open(self, load: Callable[[], Opened]) -> Opened:
        """Load, with every failure in one line.

        `datasets` answers with its own classes, those of pyarrow, of the hub's client and of its
        HTTP library; none of them is a defect of tierexp, which has said all there is to guess.
        """
        try:
            return load()
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            if self.path is not None:
                raise DataError(f"{self.where}: cannot be read: {reason}") from error
            copy = f"hf download {self.hub} --repo-type dataset --local-dir FOLDER"
            raise DataError(
                f"{self.where}: cannot be read from the hub: {reason}; data.hub=NAME/DATASET reads "
                f"it where it has moved to, data.path=FOLDER a local copy ({copy}), and "
                "HF_ENDPOINT names a mirror"
            ) from error


def _refuse_names_of_elsewhere(file: Path) -> None:
    """Refuse a saved split that lists files of another folder: `datasets` would read them."""
    try:
        listed = [entry["filename"] for entry in parse_json(file.read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{file} does not list the files of a saved data set") from None
    for name in listed:
        if not isinstance(name, str) or name in ("", "..") or Path(name).name != name:
            raise DataError(f"{file} names {name!r}, which is no file beside it")


def _datasets(what: str) -> Any:
    """The library, quiet but for what is raised."""
    try:
        import datasets
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        allowed = "it needs Hugging Face datasets: pip install 'tierexp[hub]'"
        raise ConfigError("data", what, allowed) from None
    # It announces each of its attempts to reach the hub.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    datasets.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


def _undecoded(table: Any, image: str) -> Any:
    """Images as the bytes of their files: decoding is `tierexp.imaging.decode`'s alone."""
    from datasets import Image

    if isinstance((table.features or {}).get(image), Image):
        return table.cast_column(image, Image(decode=False))
    return table
