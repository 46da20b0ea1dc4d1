"""Results files: written so that a reader finds the old one, none, or the complete new one.

In: results of any schema, and a path. Out: JSON on disk, a sample a line, written sample by sample;
and from there the same results, checked. Files of the schema before this one are brought up to date
as they are read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from pydantic_core import from_json

from tierexp.errors import DataError
from tierexp.errors.machine import writing
from tierexp.results.codec import decode, decode_many, encode, json_line
from tierexp.results.columns import stored_samples
from tierexp.results.metrics import BUILT_IN, declared
from tierexp.results.schema import SCHEMA_VERSION, EvaluationResults, SampleResult

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Results = TypeVar("Results", bound=DataclassInstance)

_SAMPLES = "per_sample_results"
_LINES = ".samples."
_PART = ".part-"
_AT_ONCE = 2**20
_BEFORE = 4
"""The schema version that is still read: its samples have no utilization, its runs no metrics."""


def write_results(results: DataclassInstance, path: Path, lines: Path | None = None) -> None:
    """Write results as JSON, the samples one by one.

    Args:
        results: What to write: an `EvaluationResults`, or another schema's data class.
        path: Path of the file; its folder is made where it is missing.
        lines: Where `sample_lines` has put its samples already.

    Raises:
        MachineError: It cannot be written; the old one is still there.
    """
    with _replacing(path) as file:
        file.writelines(_pieces(results, lines))


@contextmanager
def sample_lines(samples: Iterable[object], folder: Path) -> Iterator[Path]:
    """The samples as they stand in a results file, before the rest of it is known.

    Args:
        samples: In their order.
        folder: Where the results file will be; made where it is missing. Nobody else writes there:
            what is left of a run that was killed here is removed.

    Yields:
        A file, alone in a folder that is gone after the block with whatever is in it.

    Raises:
        MachineError: It cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"{_LINES}*"):
                shutil.rmtree(left)
            made = stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=_LINES))
            path = Path(made, "samples.json")
            with path.open("wb") as file:
                file.writelines(_lines(samples))
        yield path


def write_text(text: str, path: Path) -> None:
    """Write a file of which a reader finds the old one, or none, or the complete new one.

    Args:
        text: All of it.
        path: Path of the file; its folder is made where it is missing.

    Raises:
        MachineError: It cannot be written; the old one is still there.
    """
    with _replacing(path) as file:
        file.write(text.encode())


def finished_results(folder: Path) -> list[Path]:
    """The results files of a folder, not below: of runs that were finished, with a model or
    without.
    """
    files = sorted(folder.glob("*_tier-*.json"))
    return [file for file in files if not file.name.startswith("interrupted_")]


def complete_results(folder: Path) -> list[Path]:
    """The results files of a folder, not below: of runs that were finished, with a model."""
    return [file for file in finished_results(folder) if not is_model_free(file)]


def model_free_results(folder: Path) -> list[Path]:
    """The results files of a folder, not below, of runs without a model."""
    return [file for file in finished_results(folder) if is_model_free(file)]


def without_results(folder: Path) -> str:
    """What to say of a folder in or below which nothing was finished."""
    left = sorted(folder.rglob("interrupted_*_tier-*.json"))
    hint = f", but {left[0]}: resume=true goes on with that run" if left else ""
    return f"{folder} has no results files in or below it{hint}"


def is_model_free(file: Path) -> bool:
    """Whether a results file is, by its name, of a run without a model."""
    return file.stem.endswith("_model-none")


def runs_in(folder: Path) -> list[Path]:
    """The folders with results files, this one and those below, in their order."""
    return sorted({file.parent for file in folder.rglob("*_tier-*.json")})


def load_results(path: Path | str) -> EvaluationResults:
    """Read what `write_results` wrote; its samples from the columns beside it where they are there.

    Args:
        path: Path of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema version, or lacks a field.
    """
    try:
        samples = stored_samples(Path(path))
    except OSError:
        samples = None
    if samples is None:
        return read_results(EvaluationResults, SCHEMA_VERSION, path)
    return dataclasses.replace(load_head(path), per_sample_results=samples)


def load_head(path: Path | str) -> EvaluationResults:
    """Read everything but the samples, which come last in a file: of a long one the first lines.

    Args:
        path: Path of the file.

    Raises:
        DataError: See `load_results`.
    """
    lines = []
    try:
        with Path(path).open(encoding="utf-8") as file:
            for line in file:
                if line.startswith(f'  "{_SAMPLES}": ['):
                    lines.append(f'  "{_SAMPLES}": []\n}}\n')
                    break
                lines.append(line)
        content = from_json("".join(lines))
        if content["schema_version"] == SCHEMA_VERSION:
            return decode(EvaluationResults, content)
    except (KeyError, OSError, TypeError, ValueError):
        pass
    # Of another version, damaged, or not written by us: said by whoever reads all of it.
    whole = read_results(EvaluationResults, SCHEMA_VERSION, path)
    return dataclasses.replace(whole, per_sample_results=())


def read_results(schema: type[Results], schema_version: int, path: Path | str) -> Results:
    """Read a results file of any schema.

    Args:
        schema: The data class that was written.
        schema_version: That its fields belong to.
        path: Path of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema version, or lacks a field.
    """
    with _no_collection():
        content = read_json(path)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if schema is EvaluationResults and version == _BEFORE:
            _bring_up_to_date(content)
        elif version != schema_version:
            ours = f"this tierexp reads {schema_version}"
            raise DataError(f"{path} has schema version {version}, {ours}")
        try:
            if schema is EvaluationResults:
                content[_SAMPLES] = tuple(decode_many(SampleResult, content[_SAMPLES]))
            return decode(schema, content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{path} does not have the fields of its schema: {reason}") from error


def read_json(path: Path | str) -> Any:
    """What a JSON file holds.

    Args:
        path: Path of the file.

    Raises:
        DataError: It cannot be read, or is not JSON.
    """
    try:
        return from_json(Path(path).read_bytes(), allow_inf_nan=False, cache_strings="all")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a results file: {error}") from error


def _pieces(results: DataclassInstance, lines: Path | None) -> Iterator[bytes]:
    """The text of a file, bit by bit: a field a line, or several; a sample a line."""
    samples = getattr(results, _SAMPLES, None)
    shell = results if samples is None else _without_samples(results)
    fields = encode(shell)
    if _SAMPLES in fields:
        fields[_SAMPLES] = fields.pop(_SAMPLES)  # last: whoever wants the rest need not read them
    opening = "{\n"
    for name, value in fields.items():
        yield f"{opening}  {json.dumps(name)}: ".encode()
        opening = ",\n"
        if name == _SAMPLES and samples:
            yield from _lines(samples) if lines is None else _content(lines)
        else:
            # A line break within a text is escaped: these are all between values.
            yield _json(value, indent=2).replace("\n", "\n  ").encode()
    yield b"\n}\n"


def _lines(samples: Iterable[object]) -> Iterator[bytes]:
    opening = b"["
    for sample in samples:
        yield b"%s\n    %s" % (opening, json_line(sample))
        opening = b","
    yield b"\n  ]"


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while some := file.read(_AT_ONCE):
            yield some


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def _without_samples(results: DataclassInstance) -> DataclassInstance:
    return dataclasses.replace(results, **{_SAMPLES: ()})


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` once it is complete."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        file, temporary = _held_beside(path)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                # mkstemp is private to the user; results are to be read like any other file.
                umask = os.umask(0)
                os.umask(umask)
                temporary.chmod(0o666 & ~umask)
                temporary.replace(path)  # while it is held
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _held_beside(path: Path) -> tuple[IO[bytes], Path]:
    """A new file beside another one, held as long as it is open."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{_PART}")
        file = os.fdopen(descriptor, "wb")
        with contextlib.suppress(OSError):  # on a file system without locks nobody removes it
            _hold(file, wait=True)
        if Path(name).exists():
            return file, Path(name)
        file.close()  # somebody took it for left before it was held


def _remove_left(path: Path) -> None:
    """Remove what writers of a file have left that were killed: the system let go of it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}{_PART}*"):
        with contextlib.suppress(OSError), left.open("r+b") as file:
            _hold(file, wait=False)
            left.unlink()


def _hold(file: IO[bytes], wait: bool) -> None:
    """Lock a file until it is closed; where somebody else holds it, wait for them.

    Raises:
        OSError: They are not waited for, or the file system, or Windows, has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise OSError(str(error)) from error
    fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for some is most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_GLOBAL_VIEWS = 1
"""Global views of an image, in the models that there were when results had schema 4."""


def _bring_up_to_date(content: dict[str, Any]) -> None:
    """Schema 4 to 5, in place."""
    content["schema_version"] = SCHEMA_VERSION
    content["metrics"] = encode(declared(BUILT_IN))
    for sample in content.get(_SAMPLES, ()):
        selected, crops = sample["selected_vision_tokens"], sample["selected_crops"]
        per_crop = selected // (crops + _GLOBAL_VIEWS)
        sample["utilization"] = sample["actual_vision_tokens"] / selected
        for name in ("confidence", "first_margin", "unreduced_vision_tokens"):
            sample.setdefault(name, None)
        sample["crop_utilization"] = sample["actual_crop_tokens"] / (crops * per_crop)
