"""How a command tells its user what cannot work: one line on stderr, and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

from tierexp.credentials import without_credentials

USER_ERROR = 2
"""Exit code after a mistake of the user."""


def error_line(message: object) -> str:
    """What the terminal shows of a mistake of the user; secrets in it are hidden."""
    return f"error: {without_credentials(' '.join(str(message).split()))}"


def refuse(message: object) -> NoReturn:
    """End the process with one line on stderr.

    Args:
        message: What is wrong, or the error that says it.
    """
    sys.stderr.write(f"{error_line(message)}\n")
    sys.exit(USER_ERROR)
