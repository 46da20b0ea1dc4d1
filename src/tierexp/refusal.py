"""How a command tells its user what cannot work or go on: one line on stderr, and an exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tierexp.config.credentials import without_credentials
from tierexp.errors import TierexpError
from tierexp.machine import machine_trouble
from tierexp.rank import is_rank_zero

USER_ERROR = 2
"""Exit code after a mistake of the user."""
MACHINE_ERROR = 1
"""Exit code where the machine could not go on."""

_PRECEDENCE = 10.0
"""Seconds in which the end of the first process can end the others."""


def error_line(message: object) -> str:
    """What the terminal shows of a mistake of the user, or of a machine that could not go on;
    secrets in it are hidden.
    """
    return f"error: {without_credentials(' '.join(str(message).split()))}"


def ending_of(error: Exception) -> tuple[str, int] | None:
    """What to tell of an exception that ended a run, and the exit code; None of a defect, which
    keeps its traceback.
    """
    if isinstance(error, TierexpError):
        return str(error), USER_ERROR
    trouble = machine_trouble(error)
    return None if trouble is None else (trouble, MACHINE_ERROR)


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
