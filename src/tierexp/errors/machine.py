"""What a machine can do to a run, told from defects: a full disk, too little memory.

In: exceptions. Out: one line about each that no change of the code would have prevented. Imports no
torch.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from logging import LogRecord
from pathlib import Path

from typing_extensions import override

from tierexp.errors import MachineError

_REFUSED = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE,
        errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN,
    }
)  # fmt: skip
"""What the system says of disks that are full, limited, read-only, broken or gone, and of memory,
files and processes that are used up."""

_NO_MEMORY = (
    "out of memory",  # torch.OutOfMemoryError, and CUDA's own word
    "not enough memory",  # torch on a CPU, Windows
    "can't allocate memory",  # torch on a CPU
    "ALLOC_FAILED",  # cuBLAS and cuDNN, which take their working space from the device themselves
    "bad_alloc",  # C++
)


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception says that memory did not suffice, the device's or the machine's."""
    if isinstance(error, MemoryError):
        return True
    # Of torch's exceptions only that of its own allocators has a class.
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _NO_MEMORY)


def machine_trouble(error: BaseException) -> str | None:
    """One line about an exception that is the machine's doing; None for any other.

    Args:
        error: Whatever ended a run.
    """
    if isinstance(error, MachineError):
        return str(error)
    if isinstance(error, BrokenExecutor):
        return (
            "a process that this one had started was killed, perhaps for want of memory; "
            "what is finished is kept, and resume=true goes on"
        )
    if lacks_memory(error):
        return f"not enough memory: {first_line(error)}"
    if isinstance(error, OSError) and error.errno in _REFUSED:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}"
    return None


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, which is all that PyTorch's first one is for."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file inside the block.

    Args:
        path: Path of the file.

    Raises:
        MachineError: Whatever keeps the system from writing it.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror or error}") from error


class LogFile(logging.FileHandler):
    """A log file that is worth no traceback on the terminal where it can no longer be written: what
    goes wrong then is said once, by the file that matters.
    """

    @override
    def handleError(self, record: LogRecord) -> None:
        """Leave out the line."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
