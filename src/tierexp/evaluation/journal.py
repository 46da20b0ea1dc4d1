"""What a run has finished, on disk before the next batch begins.

In: records, one for every batch. Out: the same after a crash. A line holds a checksum, the run that
it belongs to, and a record; one that is damaged, whatever has happened to it, costs what it held
and nothing else. Each process of a run has a file of its own. Once the results file is written, the
files have served their purpose and are removed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from tierexp.config.settings import flat
from tierexp.errors import ConfigError, DataError, MachineError
from tierexp.errors.machine import machine_trouble, writing
from tierexp.results.codec import json_line
from tierexp.results.versions import version_changes

FILE_NAME = "unfinished.jsonl"
SCHEMA_VERSION = 2
SYNC_SECONDS = 1.0
"""How much work a power cut may cost. To wait for a disk takes 22 ms here, and with the model taken
out, batches of 32 questions waited a fifth of their time for it."""
Record = Mapping[str, Any]

_log = logging.getLogger(__name__)
_SIGNED = re.compile(rb"[0-9a-f]{8} \{")
"""How what a checksum is of begins."""
_START = re.compile(rb"[0-9a-f]{8} [0-9a-f]{8} \{")
"""How a line begins."""


class Journal:
    """An append-only file of records, and what is in those beside it; a context that closes it, and
    that says of what the machine does to the run inside that nothing is lost.

    Args:
        folder: Folder of the run.
        settings: What the records depend on; in the first line of the file.
        resume: Go on with the files that are there, whatever number of processes wrote them.
        rank: Rank of the process; the first is 0 and opens its file before the others do.
        versions: Versions of the code, in the first line of the file; others before are said, not
            refused.

    Raises:
        ConfigError: There is a file and `resume` is false, or it belongs to other settings; the
            first process has left no file here.
        DataError: A file is of another schema version.
        MachineError: The file cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        resume: bool,
        rank: int = 0,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self._rank = rank
        self._run = _digest(settings)
        self.path = folder / (FILE_NAME.replace(".", f".rank{rank}.") if rank else FILE_NAME)
        self.records: list[Record] = []
        """Those of the run before, those of each process in their order."""
        self._read_before: dict[Path, int] = {}
        kept = b""
        for path in _files(folder):
            content = _read(path)
            # A run that ended before it measured anything has left nothing to go on with.
            if content.records:
                if not resume:
                    allowed = (
                        "a folder without an unfinished run: resume=true goes on with it, "
                        "overwrite=true starts anew"
                    )
                    raise ConfigError("output_dir", str(folder), allowed)
                self._refuse_other_run(content, settings)
                if not rank:
                    _say(content, path, versions or {})
                self.records += content.records
                kept = content.whole_lines if path == self.path else kept
                self._read_before[path] = len(content.records)
        self._measured = bool(self.records)
        if rank and not (folder / FILE_NAME).exists():
            raise ConfigError("output_dir", str(folder), "a folder that all processes share")
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk has refused must not be tried again on closing.
            self._file = self.path.open("r+b" if kept else "wb", buffering=0)
            self._file.truncate(len(kept))
            self._file.seek(len(kept))
        self._synced = -SYNC_SECONDS  # what comes first is on the disk at once
        if not kept:
            self._write(
                {
                    "schema_version": SCHEMA_VERSION,
                    "settings": settings,
                    "versions": versions or {},
                }
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the file for a later run.

        Raises:
            MachineError: The run was ended by the machine, or by a file that cannot be written.
        """
        try:
            self.close()
        except MachineError as late:
            error = error or late
        trouble = None if error is None else machine_trouble(error)
        if trouble is None and isinstance(error, OSError):
            trouble = str(error)  # a logger's file, which this module knows nothing about
        if trouble is not None:
            if self._rank:
                raise MachineError(trouble) from error  # the first process speaks for the run
            kept = f"what was measured is kept: output_dir={self.path.parent} resume=true goes on"
            raise MachineError(f"{trouble}; {kept}" if self._measured else trouble) from error

    def places(self, kind: str) -> set[int]:
        """Places in the data set of what an earlier run has measured.

        Args:
            kind: Key of the records that hold them: `samples`, or `timed`.
        """
        return {int(index) for record in self.records for index in record.get(kind, {})}

    def take_over(self, records: Iterable[Record]) -> None:
        """Count what another journal held as measured, and keep it."""
        for record in records:
            self.append(record)
            self.records.append(record)

    def append(self, record: Record) -> None:
        """Write a record of what was measured. The system has it when this returns, so that it
        outlives the process; the disk has it a second later at most, or when the file is closed.

        Raises:
            MachineError: It cannot be written.
        """
        self._write(record)
        self._measured = True

    def _write(self, record: Record) -> None:
        with writing(self.path):
            rest = memoryview(_line(self._run, record))
            while rest:
                # On a full disk a part of the line is still written.
                rest = rest[self._file.write(rest) :]
            if monotonic() >= self._synced + SYNC_SECONDS:
                self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = monotonic()

    def others(self) -> list[Record]:
        """What other processes have measured since this one opened its file."""
        paths = [path for path in _files(self.path.parent) if path != self.path]
        before = self._read_before
        return [record for path in paths for record in _read(path).records[before.get(path, 0) :]]

    def close(self) -> None:
        """Leave the file for a later run."""
        if not self._file.closed:
            with writing(self.path):
                self._sync()
        self._file.close()

    def remove(self) -> None:
        """Close the file and delete it with those beside it: the results are elsewhere."""
        self._file.close()
        remove_journals(self.path.parent)

    def _refuse_other_run(self, content: _Content, settings: Mapping[str, Any]) -> None:
        if content.settings is not None:
            refuse_other_settings(content.settings, settings)
        elif content.runs != {self._run}:
            # The first line, which would say which settings, is the one that is damaged.
            allowed = "one of a run with these settings; overwrite=true starts anew"
            raise ConfigError("output_dir", str(self.path.parent), allowed)


def remove_journals(folder: Path) -> None:
    """Delete what unfinished runs have left in a folder."""
    for path in _files(folder):
        path.unlink(missing_ok=True)


def refuse_other_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with measurements that depend on other settings.

    Args:
        before: What they depend on.
        now: What those of this run depend on.

    Raises:
        ConfigError: A value differs.
    """
    # As JSON has them: a tuple comes back as a list.
    before, now = flat(json.loads(json.dumps(before))), flat(json.loads(json.dumps(now)))
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            allowed = (
                f"{before.get(key)!r}, as in the run that resume=true goes on with; "
                "overwrite=true starts anew"
            )
            raise ConfigError(key, now.get(key), allowed)


@dataclass(frozen=True)
class _Content:
    """What is in a file.

    Args:
        settings: Settings of its first line, with `versions`; both None where that is damaged.
        versions: Versions of the code that began it.
        records: Records of the lines that are whole.
        runs: That these belong to.
        damaged: How many lines are not, the last one, which a crash cuts short, left out.
        whole_lines: The bytes of all lines but one without an end.
    """

    settings: Mapping[str, Any] | None
    versions: Mapping[str, str] | None
    records: list[Record]
    runs: set[str]
    damaged: int
    whole_lines: bytes


def _files(folder: Path) -> list[Path]:
    """The journals in a folder."""
    first = folder / FILE_NAME
    beside = folder.glob(FILE_NAME.replace(".", ".rank*."))
    return [*([first] if first.exists() else []), *sorted(beside)]


def _digest(settings: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(settings, sort_keys=True).encode()):08x}"


def _line(run: str, record: Record) -> bytes:
    signed = b"%s %s" % (run.encode(), json_line(record))
    return b"%08x %s\n" % (zlib.crc32(signed), signed)


def _read(path: Path) -> _Content:
    """What is in a file.

    Raises:
        DataError: It is of another schema version.
    """
    content = path.read_bytes()
    whole_lines = content[: content.rfind(b"\n") + 1]
    settings = versions = None
    records: list[Record] = []
    runs: set[str] = set()
    damaged = 0
    for line in whole_lines.split(b"\n")[:-1]:
        lost, found = _decoded(line)
        damaged += lost
        for run, record in found:
            runs.add(run)
            if "schema_version" not in record:
                records.append(record)
                continue
            if record["schema_version"] != SCHEMA_VERSION:
                raise _of_another_version(path, record["schema_version"])
            settings, versions = record["settings"], record["versions"]
    if not runs and re.match(rb'[0-9a-f]{8} \{"settings"', content):
        raise _of_another_version(path, 1)
    return _Content(settings, versions, records, runs, damaged, whole_lines if runs else b"")


def _decoded(line: bytes) -> tuple[int, Iterator[tuple[str, Record]]]:
    """(whether a record is lost, runs and records) of a line: one, or none where it is damaged; or
    the one behind a line whose end was damaged.
    """
    for start in [0, *(match.start() for match in _START.finditer(line, 1))]:
        checksum, _, signed = line[start:].partition(b" ")
        if checksum == b"%08x" % zlib.crc32(signed) and _SIGNED.match(signed):
            run, _, text = signed.partition(b" ")
            return int(start > 0), iter([(run.decode(), json.loads(text))])
    return 1, iter(())


def _of_another_version(path: Path, version: int) -> DataError:
    return DataError(
        f"{path} has schema version {version}, this tierexp goes on with {SCHEMA_VERSION}: "
        "overwrite=true starts anew"
    )


def _say(content: _Content, path: Path, versions: Mapping[str, str]) -> None:
    """Tell what a user should know of a run that goes on."""
    if content.damaged:
        _log.warning(
            "%s: %d damaged lines are left out, and what they held is measured again",
            path, content.damaged,
        )  # fmt: skip
    changes = version_changes(content.versions or {}, versions)
    if content.versions is not None and changes:
        _log.warning("this run goes on with what other versions have measured: %s", changes)
