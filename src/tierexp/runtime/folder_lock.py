"""One run at a time in a folder.

In: a folder. Out: a context in which no other process, on this machine or on another one that
shares the file system, holds the same folder. The system gives the lock back when the process ends,
however it ends; processes that it has started do not keep it. Imports no torch.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tierexp.errors import ConfigError
from tierexp.errors.machine import writing

FILE_NAME = ".lock"
"""In the folder; it stays there and says nothing by being there."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems without locks say, such as an NFS mount without its lock service."""

_log = logging.getLogger(__name__)
_held: set[Path] = set()
"""Folders of this process, which may enter them again."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder; one that this process holds already is held on.

    Args:
        folder: Made where it is missing.

    Raises:
        ConfigError: Another process holds it.
        MachineError: The lock file cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
    if folder in _held:
        yield
        return
    lock = _acquired(folder)
    _held.add(folder)
    try:
        yield
    finally:
        _held.discard(folder)
        if lock is not None:
            lock.release()


def _acquired(folder: Path) -> FileLock | None:
    """The lock; None where the file system has none, which is said."""
    file = folder / FILE_NAME
    lock = FileLock(file, fallback_to_soft=False)
    try:
        with writing(file):
            _acquire(lock)
    except _HeldError:
        allowed = f"a folder of its own while another run ({_holder(file)}) is writing there"
        raise ConfigError("output_dir", str(folder), allowed) from None
    except _NoLocksError:
        _log.warning(
            "%s is on a file system without locks: a second run there would not be noticed", folder
        )
        return None
    with suppress(OSError):  # of no other use than to be read by people
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


class _HeldError(Exception):
    pass


class _NoLocksError(Exception):
    pass


def _acquire(lock: FileLock) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:  # an OSError, though nothing is wrong with the file
        raise _HeldError from None
    except NotImplementedError:
        raise _NoLocksError from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise _NoLocksError from None
        raise


def _holder(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip() or "just started"
    except OSError:
        return "unknown"
