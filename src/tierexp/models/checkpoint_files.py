"""The files of a checkpoint folder, whatever the model.

In: a folder. Out: its JSON, and the paths of its weights, of which no more than headers are read.
Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from tierexp.errors import CheckpointError
from tierexp.errors.json_text import parse_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SUFFIX = ".safetensors"
TOKENIZER_FILE = "tokenizer.json"
_MOST_READ = 2**30
"""Bytes of weights that are read whole to know them again, which takes a second."""


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: one, or the shards of its index.

    Raises:
        CheckpointError: There are none, or two sets of them; or the index names a shard that is
            missing or damaged, or a tensor that its shard does not hold.
    """
    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if not index.is_file():
        if not single.is_file():
            raise CheckpointError(f"{folder} has neither {WEIGHTS_FILE} nor {INDEX_FILE}")
        return [single]
    names = _weight_map(index)
    if single.is_file() and WEIGHTS_FILE not in names:
        # Either may be what is left of an earlier model.
        raise CheckpointError(
            f"{folder} has two sets of weights, {WEIGHTS_FILE} and the files that {INDEX_FILE} "
            "names: remove one"
        )
    for name, tensors in names.items():
        _refuse_lack(folder / name, tensors)
    return [folder / name for name in sorted(names)]


def dated(files: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    """Files as they are now: their paths, and when each was last changed, in nanoseconds.

    Args:
        files: That are there.
    """
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)


def content_digest(files: Sequence[Path]) -> str:
    """What weight files hold, wherever they lie: equal for copies of them, read once a process.

    Of more than a GiB together name, size and time of the last change stand for the content.

    Args:
        files: As from `weight_files`.
    """
    stats = [file.stat() for file in files]
    whole = sum(stat.st_size for stat in stats) <= _MOST_READ
    parts = [
        (file.name, stat.st_size, _digest(file, stat.st_mtime_ns) if whole else stat.st_mtime_ns)
        for file, stat in zip(files, stats, strict=True)
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=256)
def _digest(file: Path, changed: int) -> str:
    """Digest of a file as it was when it was last changed."""
    del changed
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _weight_map(index: Path) -> dict[str, list[str]]:
    """The files that an index names, each with the tensors it is to hold."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map")
    files: dict[str, list[str]] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or Path(name).name != name or Path(name).suffix != SUFFIX:
            raise CheckpointError(f"{index} names {name!r}, which is no {SUFFIX} file beside it")
        files.setdefault(name, []).append(tensor)
    return files


def _refuse_lack(shard: Path, tensors: Sequence[str]) -> None:
    """Refuse a shard without one of the tensors that the index says it holds."""
    if not shard.is_file():
        raise CheckpointError(f"{shard} is missing, {INDEX_FILE} names it")
    try:
        with safe_open(shard, framework="np") as opened:
            held = set(opened.keys())
    except SafetensorError as error:
        raise CheckpointError(f"{shard} is damaged: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{shard} cannot be read: {error.strerror or error}") from None
    lacking = sorted(set(tensors) - held)
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise CheckpointError(f"{shard} lacks {lacking[0]!r}{more}, {INDEX_FILE} names it there")


def read_object(file: Path) -> dict[str, object]:
    """The JSON object in a file.

    Raises:
        CheckpointError: There is none.
    """
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CheckpointError(f"{file} cannot be read: {reason}") from None
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return values
