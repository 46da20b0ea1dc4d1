"""What a run has finished, on disk before the next batch begins.

In: records, one for every batch. Out: the same after a crash. A line holds a checksum and a record;
a line that a crash or a full disk cut short is the last one, and is dropped. Each process of a run
has a file of its own. Once the results file is written, the files have served their purpose and are
removed.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tierexp.config.settings import flat
from tierexp.errors import ConfigError, DataError, MachineError
from tierexp.machine import machine_trouble, writing

FILE_NAME = "unfinished.jsonl"
Record = Mapping[str, Any]


class Journal:
    """An append-only file of records, and what is in those beside it; a context that closes it, and
    that says of what the machine does to the run inside that nothing is lost.

    Args:
        folder: Of the run.
        settings: What the records depend on; the first line of the file.
        resume: Go on with the files that are there, whatever number of processes wrote them.
        rank: Of the process; the first is 0 and opens its file before the others do.

    Raises:
        ConfigError: There is a file and `resume` is false, or it belongs to other settings; the
            first process has left no file here.
        DataError: A line before the last is damaged.
        MachineError: The file cannot be written.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], resume: bool, rank: int = 0
    ) -> None:
        self._rank = rank
        self.path = folder / (FILE_NAME.replace(".", f".rank{rank}.") if rank else FILE_NAME)
        self.records: list[Record] = []
        """Those of the run before, those of each process in their order."""
        self._read_before: dict[Path, int] = {}
        kept = b""
        for path in _files(folder):
            header, records, content = _read(path)
            # A run that ended before it measured anything has left nothing to go on with.
            if header is not None and records:
                if not resume:
                    allowed = "a folder without an unfinished run; resume=true goes on with it"
                    raise ConfigError("output_dir", str(folder), allowed)
                _refuse_other_settings(header, settings)
                self.records += records
                kept = content if path == self.path else kept
                self._read_before[path] = len(records)
        self._measured = bool(self.records)
        if rank and not (folder / FILE_NAME).exists():
            raise ConfigError("output_dir", str(folder), "a folder that all processes share")
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk has refused must not be tried again on closing.
            self._file = self.path.open("r+b" if kept else "wb", buffering=0)
            self._file.truncate(len(kept))
            self._file.seek(len(kept))
        if not kept:
            self._write({"settings": settings})

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
        self.close()
        trouble = None if error is None else machine_trouble(error)
        if trouble is None and isinstance(error, OSError):
            trouble = str(error)  # a logger's file, which this module knows nothing about
        if trouble is not None:
            if self._rank:
                raise MachineError(trouble) from error  # the first process speaks for the run
            kept = f"what was measured is kept: output_dir={self.path.parent} resume=true goes on"
            raise MachineError(f"{trouble}; {kept}" if self._measured else trouble) from error

    def take_over(self, records: Iterable[Record]) -> None:
        """Count what another journal held as measured, and keep it."""
        for record in records:
            self.append(record)
            self.records.append(record)

    def append(self, record: Record) -> None:
        """Write a record of what was measured; it is on the disk when this returns.

        Raises:
            MachineError: It cannot be written.
        """
        self._write(record)
        self._measured = True

    def _write(self, record: Record) -> None:
        with writing(self.path):
            rest = memoryview(_line(record))
            while rest:
                # On a full disk a part of the line is still written.
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())

    def others(self) -> list[Record]:
        """What other processes have measured since this one opened its file."""
        paths = [path for path in _files(self.path.parent) if path != self.path]
        return [
            record for path in paths for record in _read(path)[1][self._read_before.get(path, 0) :]
        ]

    def close(self) -> None:
        """Leave the file for a later run."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and delete it with those beside it: the results are elsewhere."""
        self.close()
        for path in _files(self.path.parent):
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """The journals in a folder."""
    first = folder / FILE_NAME
    beside = folder.glob(FILE_NAME.replace(".", ".rank*."))
    return [*([first] if first.exists() else []), *sorted(beside)]


def _line(record: Record) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path) -> tuple[Mapping[str, Any] | None, list[Record], bytes]:
    """(settings, records, the bytes of whole lines) of a file."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    records: list[Record] = []
    length = 0
    for number, line in enumerate(lines, start=1):
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            if number == len(lines):
                break
            raise DataError(f"{path}: line {number} is damaged; without the file a run starts anew")
        records.append(json.loads(text))
        length += len(line)
    if not records:
        return None, [], b""
    return records[0]["settings"], records[1:], content[:length]


def _refuse_other_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    # As JSON has them: a tuple comes back as a list.
    before, now = flat(before), flat(json.loads(json.dumps(now)))
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            allowed = f"{before.get(key)!r}, as in the run that resume=true goes on with"
            raise ConfigError(key, now.get(key), allowed)
