"""Tensors in safetensors files, read in pieces straight to where they belong.

In: files. Out: what they hold, and, tensor by tensor, a copy of it in memory that is there already.
The safetensors library checks every file; the bytes are read here, since it maps files into memory
instead: pages of a checkpoint that has been read would stay resident beside the model, in the
worst case (float32 on disk, bfloat16 in memory) twice its size. Knows nothing about models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tierexp.errors import CheckpointError
from tierexp.models.finite import is_finite

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
}
"""What weights may be stored as, by the format's name for it."""

_PIECE = 4 * 2**20
"""Bytes read at once, but for longer rows: all that exists twice."""
_LENGTH_BYTES = 8
"""The format begins with the length of its header; the tensors follow that."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Args:
        name: In the file.
        file: That holds it.
        start: Its first byte in the file.
        shape: Its sizes.
        dtype: Dtype of its numbers.
    """

    name: str
    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype


def list_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of some files, by name; nothing but their headers is read.

    Args:
        files: One safetensors file, or all shards.

    Raises:
        CheckpointError: A file is damaged, a tensor is stored twice or as something that is no
            weight.
    """
    stored: dict[str, StoredTensor] = {}
    for file in files:
        for name, tensor in _read_header(file).items():
            if name in stored:
                raise CheckpointError(f"{file}: {name} is stored twice")
            stored[name] = tensor
    return stored


def copy_tensors(pairs: Sequence[tuple[StoredTensor, Tensor]]) -> None:
    """Copy stored tensors into tensors in memory, in the order in which they lie on disk.

    Args:
        pairs: What to read, and the tensor of the same shape, on any device and of any floating
            dtype, that it fills: contiguous, or a matrix that lies transposed in memory.

    Raises:
        CheckpointError: A tensor holds infinities or NaN, or a file has become shorter since it
            was listed.
    """
    buffer = bytearray(max([_PIECE, *(_row_bytes(source) for source, _ in pairs)]))
    by_file: dict[Path, list[tuple[StoredTensor, Tensor]]] = {}
    for source, target in pairs:
        by_file.setdefault(source.file, []).append((source, target))
    for file, tensors in by_file.items():
        with file.open("rb", buffering=0) as opened:
            for source, target in sorted(tensors, key=lambda pair: pair[0].start):
                if target.numel() == 0:
                    continue
                opened.seek(source.start)
                rows = target.view(target.shape[0] if target.shape else 1, -1)
                for part in torch.split(rows, max(1, _PIECE // _row_bytes(source))):
                    size = part.numel() * source.dtype.itemsize
                    if opened.readinto(memoryview(buffer)[:size]) != size:
                        raise CheckpointError(f"{file} ends within a tensor")
                    read = torch.frombuffer(buffer, dtype=source.dtype, count=part.numel())
                    part.copy_(read.view_as(part))
                    # On the CPU; only the widest numbers can become infinite on their way.
                    if not is_finite(part if source.dtype == torch.float64 else read):
                        raise CheckpointError(
                            f"{file}: {source.name} holds numbers that are not finite"
                        )


def _row_bytes(source: StoredTensor) -> int:
    return math.prod(source.shape[1:]) * source.dtype.itemsize


def _read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        # Refuses what is not safetensors: a pickle, gaps, overlaps, a length not the file's.
        with safe_open(file, framework="pt"):
            pass
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            header = json.loads(opened.read(length))
    except SafetensorError as error:
        raise CheckpointError(f"{file} is damaged: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}") from None
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{file}: {name} is stored as {entry['dtype']}, not as {' or '.join(DTYPES)}"
            )
    return {
        name: StoredTensor(
            name=name,
            file=file,
            start=_LENGTH_BYTES + length + entry["data_offsets"][0],
            shape=tuple(entry["shape"]),
            dtype=DTYPES[entry["dtype"]],
        )
        for name, entry in header.items()
    }
