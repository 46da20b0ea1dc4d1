"""How a command tells its user what cannot work or go on: one line on stderr, and an exit code."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from omegaconf.errors import InterpolationResolutionError

from tierexp.config.build import interpolation_error
from tierexp.config.credentials import without_credentials
from tierexp.config.rank import is_rank_zero
from tierexp.errors import TierexpError, shortened
from tierexp.errors.machine import machine_trouble

USER_ERROR = 2
"""Exit code after a mistake of the user."""
MACHINE_ERROR = 1
"""Exit code where the machine could not go on."""

_LONGEST_LINE = 2000
"""Characters; whatever a library repeats of what it was given."""

_NOT_THERE = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
        errno.ELOOP, errno.EINVAL, errno.ENOTEMPTY,
    }
)  # fmt: skip
"""What the system says of paths that the user should not have named."""

_PRECEDENCE = 10.0
"""Seconds in which the end of the first process can end the others."""


def error_line(message: object) -> str:
    """What the terminal shows of a mistake of the user, or of a machine that could not go on;
    secrets in it are hidden.
    """
    line = shortened(" ".join(str(message).split()), _LONGEST_LINE)
    return f"error: {without_credentials(line)}"


def ending_of(error: Exception) -> tuple[str, int] | None:
    """What to tell of an exception that ended a run, and the exit code; None of a defect, which
    keeps its traceback.
    """
    if isinstance(error, TierexpError):
        return str(error), USER_ERROR
    if isinstance(error, InterpolationResolutionError):
        return str(interpolation_error(error)), USER_ERROR
    if isinstance(error, OSError) and error.errno in _NOT_THERE and error.filename is not None:
        return path_trouble(error), USER_ERROR
    trouble = machine_trouble(error)
    return None if trouble is None else (trouble, MACHINE_ERROR)


def path_trouble(error: OSError) -> str:
    """One line about a path that cannot be what the user takes it for."""
    return f"{shortened(os.fsdecode(error.filename))}: {error.strerror}"


class OneLineParser(argparse.ArgumentParser):
    """Says mistakes in one line, as everything else does, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """End the process with code 2 after the line."""
        refuse(f"{message}; --help says what there is")


@contextmanager
def refusing() -> Iterator[None]:
    """End the process with one line where the block ends with a mistake of the user, or because the
    machine could not go on.
    """
    try:
        yield
    except Exception as error:
        ending = ending_of(error)
        if ending is None:
            raise
        refuse(*ending)


def refuse(message: object, code: int = USER_ERROR) -> NoReturn:
    """End the process with one line on stderr.

    Of several processes, started by torchrun or `srun --kill-on-bad-exit`, mostly all have the same
    to say: the first speaks first, and its end is that of the others before they repeat it.

    Args:
        message: What is wrong, or the error that says it.
        code: The exit code.
    """
    if not is_rank_zero():
        time.sleep(_PRECEDENCE)
    sys.stderr.write(f"{error_line(message)}\n")
    sys.exit(code)
