"""How a command tells its user what cannot work or go on: one line on stderr, and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

USER_ERROR = 2
"""Exit code after a mistake of the user."""
MACHINE_ERROR = 1
"""Exit code where the machine could not go on."""


def error_line(message: object) -> str:
    """What the terminal shows of a mistake of the user, or of a machine that could not go on."""
    return f"error: {' '.join(str(message).split())}"


def refuse(message: object, code: int = USER_ERROR) -> NoReturn:
    """End the process with one line on stderr.

    Args:
        message: What is wrong, or the error that says it.
        code: The exit code.
    """
    sys.stderr.write(f"{error_line(message)}\n")
    sys.exit(code)
