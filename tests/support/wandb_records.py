"""What an offline run of W&B holds, once its own process has written all of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER, _WHOLE, _LAST = 32768, 7, 1, 4
_PATIENCE = 30.0


def records(path: Path) -> list[Record]:
    """The records of a `.wandb` file. On a busy machine the last of them, how the run has ended,
    comes a while after the run has."""
    deadline = monotonic() + _PATIENCE
    while True:
        found = list(_written(path))
        if any(record.HasField("exit") for record in found) or monotonic() > deadline:
            return found
        sleep(0.05)


def _written(path: Path) -> Iterator[Record]:
    """The whole records that are there: a LevelDB log after a header of 7 bytes."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, parts = _HEADER, b""
    while position + _HEADER <= len(content):
        if _BLOCK - position % _BLOCK < _HEADER:
            position += _BLOCK - position % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        start = position + _HEADER
        if start + length > len(content):
            return
        parts += content[start : start + length]
        position = start + length
        if kind in (_WHOLE, _LAST):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record
