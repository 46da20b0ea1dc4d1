"""The samples of a results file as columns: a Parquet file beside it, and samples read from there.

In: a results file, or the lines of its samples before it is there. Out: a file that pandas and
others read as it is, and a sequence of the same samples of which whole columns can be had without
the rest. Fields that are no numbers, texts or lists of these are texts of JSON. Needs pyarrow,
which only this module imports.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Self,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from tierexp.config.checks import choice
from tierexp.errors import ConfigError, DataError, MachineError
from tierexp.errors.machine import writing
from tierexp.results.codec import decode_many
from tierexp.results.schema import SampleResult

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Literal["auto", "none", "parquet"]
"""Whether a run writes them: `auto` where pyarrow is installed and there are `MANY` samples."""
MANY = 10_000
_GROUP = 8192
"""Samples that are written, and read, at once."""
_METRICS = "metrics"
_SAMPLES = b'  "per_sample_results"'
"""How the line begins that the samples follow, a line each."""
_JSON = b"json"
_DIGEST, _MODIFIED, _BYTES, _COUNT = b"sha256", b"modified", b"bytes", b"samples"
"""What a file of columns says of the one it belongs to."""


def columns_file(results_file: Path) -> Path:
    """Where the columns of a results file's samples lie."""
    return results_file.with_suffix(".parquet")


def read_columns(settings: object) -> Columns:
    """Whether a run is to write columns: the configuration's `results`.

    Raises:
        ConfigError: No group of keys, another key or value, or pyarrow is not installed and asked
            for.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError("results", settings, "a group of keys: results.columns=parquet")
    for key in settings:
        if key != "columns":
            raise ConfigError(f"results.{key}", settings[key], "results.columns alone")
    wanted: Any = settings.get("columns")
    choice("results.columns", wanted, get_args(Columns))
    if wanted == "parquet" and find_spec("pyarrow") is None:
        allowed = "auto or none without pyarrow; pip install 'tierexp[columns]'"
        raise ConfigError("results.columns", wanted, allowed)
    return cast("Columns", wanted)


def wanted_columns(columns: Columns, count: int) -> bool:
    """Whether a run of so many samples writes them."""
    if columns == "auto":
        return count >= MANY and find_spec("pyarrow") is not None
    return columns == "parquet" and count > 0


def column(samples: Sequence[SampleResult], name: str) -> Sequence[Any]:
    """One field, or one declared column, of every sample.

    Args:
        samples: Of a run.
        name: Of the field or column.
    """
    if isinstance(samples, StoredSamples):
        return samples.column(name)
    return [getattr(sample, name) for sample in samples]


def numbers(samples: Sequence[SampleResult], name: str) -> NDArray[np.float64]:
    """The same of a column of numbers that every sample has, (n,)."""
    return np.asarray(column(samples, name), np.float64)


def shared_places(
    first: Sequence[SampleResult], second: Sequence[SampleResult]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the samples are that two runs both have, in either, in the first one's order.

    Args:
        first: Of a run.
        second: Of another.
    """
    place_of = {name: place for place, name in enumerate(column(second, "sample_id"))}
    pairs = [
        (place, place_of[name])
        for place, name in enumerate(column(first, "sample_id"))
        if name in place_of
    ]
    here, there = np.array(pairs, np.intp).reshape(-1, 2).T
    return here, there


class ColumnsBeingWritten:
    """The columns of a results file that is not there yet, written meanwhile in a process of its
    own: this one has no use for pyarrow and its memory. A context.

    Args:
        lines: As `sample_lines` has written them, of at least one sample, until its end.

    Raises:
        MachineError: At the end: they cannot be written.
    """

    def __init__(self, lines: Path) -> None:
        modules = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        self._results_file: Path | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tierexp.results.columns", str(lines)],
            env={**os.environ, "PYTHONPATH": modules},
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def belong_to(self, results_file: Path) -> None:
        """Say which file it is, now that `write_results` has written it."""
        self._results_file = results_file
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as told:  # if it is gone, below
            told.write(os.fsencode(results_file.absolute()))  # as text it would be up to its locale

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        process, path = self._process, self._results_file
        assert process.stdin is not None
        assert process.stderr is not None
        if path is None or kind is not None:
            process.kill()
        with process.stderr as stream:
            said = stream.read().decode(errors="replace").strip().splitlines()[-1:]
        process.stdin.close()
        if process.wait() and path is not None and kind is None:
            reason = "".join(said) or "its process was killed"
            raise MachineError(f"{columns_file(path)} was not written: {reason}")


def write_columns(results_file: Path) -> Path:
    """Write the samples of a results file as columns.

    Args:
        results_file: As `write_results` has written it, of at least one sample.

    Returns:
        The file; one that was there is replaced.

    Raises:
        MachineError: It cannot be written.
    """
    part = columns_file(results_file).with_name(f".{columns_file(results_file).name}.part")
    return _write(results_file, part, lambda: results_file)


def _write(source: Path, part: Path, results_file: Callable[[], Path]) -> Path:
    """Write columns.

    Args:
        source: A file of lines that begin with four blanks, a sample each, after such a line as
            `_SAMPLES` or from its first.
        part: Where they are until they are complete.
        results_file: Asked at the end; whose samples they are.

    Returns:
        Where they are then.

    Raises:
        MachineError: They cannot be written.
    """
    fractions: set[str] = set()
    try:
        with writing(part):
            # A declared column is of whole numbers where all of it is; which no type says.
            while found := _write_or_find_fractions(source, part, fractions, results_file):
                fractions |= found
        path = columns_file(results_file())
        with writing(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_or_find_fractions(
    source: Path, part: Path, fractions: set[str], results_file: Callable[[], Path]
) -> set[str]:
    """Write the columns; or stop at some that are none of whole numbers and not among those that
    are known to be so, and return them.
    """
    import pyarrow as pa
    from pyarrow import parquet

    groups = _rows(source)
    first = next(groups)
    fields, metrics = _fields(), [name for name in first[0] if name not in _hints()]
    found = _fractions(first, metrics) | fractions
    fields += [pa.field(m, pa.float64() if m in found else pa.int64()) for m in metrics]
    count = 0
    with parquet.ParquetWriter(part, schema := pa.schema(fields)) as writer:
        for rows in chain([first], groups):
            more = _fractions(rows, metrics) - found
            if more:
                return found | more
            values = [_written(rows, field) for field in schema]
            writer.write_table(pa.Table.from_arrays(values, schema=schema))
            count += len(rows)
        writer.add_key_value_metadata(_said_of(results_file(), count))
    return set()


def _rows(source: Path) -> Iterator[list[dict[str, Any]]]:
    """The samples of a file as JSON has them, some at a time."""
    with source.open("rb") as file:
        if file.readline() != b"[\n":  # a results file
            for line in file:
                if line.startswith(_SAMPLES):
                    break
        lines = (line.strip().removesuffix(b",") for line in file if line.startswith(b"    "))
        while some := list(islice(lines, _GROUP)):
            yield from_json(b"[" + b",".join(some) + b"]", cache_strings="all")


def stored_samples(results_file: Path) -> StoredSamples | None:
    """The samples of a results file from the columns beside it; None where there are none, where
    they are of another file, or where pyarrow is not installed.

    Args:
        results_file: As `write_results` has written it.
    """
    path = columns_file(results_file)
    if not path.is_file():
        return None
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError:
        return None
    try:
        file = parquet.ParquetFile(path, memory_map=True)
    except (ArrowInvalid, OSError):
        return None
    if not _belong(file.metadata, results_file):
        return None
    return StoredSamples(file, path)


class StoredSamples(Sequence[SampleResult]):
    """Samples in a file of columns; a sample is made when it is asked for.

    Args:
        file: The open `pyarrow.parquet.ParquetFile`.
        path: Where it lies.

    Raises:
        DataError: The file turns out to be damaged when samples are asked for.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        self._schema: pa.Schema = file.schema_arrow
        self._held: tuple[int, list[SampleResult]] | None = None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @overload
    def __getitem__(self, place: int) -> SampleResult: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SampleResult]: ...
    def __getitem__(self, place: int | slice) -> SampleResult | Sequence[SampleResult]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        index = place + len(self) if place < 0 else place
        if not 0 <= index < len(self):
            raise IndexError(place)
        return self._group(index // _GROUP)[index % _GROUP]

    def __iter__(self) -> Iterator[SampleResult]:
        for number in range(self._file.num_row_groups):
            yield from self._group(number)

    def column(self, name: str) -> Sequence[Any]:
        """One field, or one declared column, of every sample."""
        with _reading(self._path):
            read = self._file.read([name]).column(0).to_pylist()
        if not _is_json(self._schema.field(name)):
            return read  # type: ignore[no-any-return]
        return [json.loads(text) for text in read]

    def _group(self, number: int) -> list[SampleResult]:
        if self._held is None or self._held[0] != number:
            with _reading(self._path):
                rows = self._file.read_row_group(number).to_pylist()
            texts = [field.name for field in self._schema if _is_json(field)]
            for row in rows:
                for name in texts:
                    row[name] = json.loads(row[name])
            self._held = number, decode_many(SampleResult, rows)
        return self._held[1]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError) as error:
        said = f"{path} is damaged; without it, its samples are read from the file beside it"
        raise DataError(said) from error


def _said_of(results_file: Path, count: int) -> dict[bytes, bytes]:
    """What columns say of the file that they belong to."""
    return {_DIGEST: _digest(results_file), **_at_hand(results_file, count)}


def _at_hand(results_file: Path, count: int) -> dict[bytes, bytes]:
    """The same without reading the file."""
    found = results_file.stat()
    return {
        _MODIFIED: str(found.st_mtime_ns).encode(),
        _BYTES: str(found.st_size).encode(),
        _COUNT: str(count).encode(),
    }


def _belong(columns: Any, results_file: Path) -> bool:
    """Whether columns are those of a file as it is now, which is read through only where it has
    another date, as a copy has: 215 MiB in 0.15 s of CPU.

    Args:
        columns: Their `pyarrow.parquet.FileMetaData`.
        results_file: The file.
    """
    said = columns.metadata or {}
    at_hand = _at_hand(results_file, columns.num_rows)
    others = {key for key, value in at_hand.items() if said.get(key) != value}
    return not others or (others == {_MODIFIED} and said.get(_DIGEST) == _digest(results_file))


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _hints() -> dict[str, Any]:
    """The fields of samples that are no declared columns."""
    hints = get_type_hints(SampleResult)
    del hints[_METRICS]
    return hints


def _fields() -> list[pa.Field]:
    """Their columns."""
    import pyarrow as pa

    fields = []
    for name, hint in _hints().items():
        kind = _kind(hint)
        said = {_JSON: b"1"} if kind is None else None
        fields.append(pa.field(name, pa.string() if kind is None else kind, metadata=said))
    return fields


def _fractions(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> set[str]:
    """The declared columns in which something is no whole number of 64 bits."""
    found = set()
    for name in metrics:
        values = [row[name] for row in rows if row[name] is not None]
        if not (set(map(type, values)) <= {int} and all(-(2**63) < v < 2**63 for v in values)):
            found.add(name)
    return found


def _kind(hint: Any) -> Any:
    """The Arrow type of a field; None where it is kept as JSON."""
    import pyarrow as pa

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if get_origin(hint) in (Union, UnionType):
        given = [entry for entry in get_args(hint) if entry is not type(None)]
        return plain.get(given[0]) if len(given) == 1 else None
    if get_origin(hint) is tuple:
        entries = {entry for entry in get_args(hint) if entry is not ...}
        (entry, *others) = entries
        return None if others or entry not in plain else pa.list_(plain[entry])
    return plain.get(hint)


def _is_json(field: pa.Field) -> bool:
    return _JSON in (field.metadata or {})


def _written(rows: Sequence[Mapping[str, Any]], field: pa.Field) -> Any:
    import pyarrow as pa

    values = [row[field.name] for row in rows]
    if _is_json(field):
        values = [to_json(value).decode() for value in values]
    elif field.type == pa.float64():
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, field.type)


def _main(lines: Path) -> None:
    """Write the columns of lines; of which file they are is on standard input once it is known.

    Raises:
        MachineError: They cannot be written.
    """

    @cache
    def results_file() -> Path:
        return Path(os.fsdecode(sys.stdin.buffer.read()))

    _write(lines, lines.with_name("columns.part"), results_file)


if __name__ == "__main__":
    gc.disable()  # millions of values, and no circles among them
    try:
        _main(Path(sys.argv[1]))
    except MachineError as error:
        sys.exit(str(error))
