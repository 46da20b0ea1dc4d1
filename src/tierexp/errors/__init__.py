"""The errors a user or a machine can cause, each worth exactly one line on the terminal.

`tierexp.cli.launch` prints them without a traceback and exits with code 2 after a user's and with
code 1 after a machine's; anything else that escapes is a defect of tierexp and keeps its traceback.
"""

from __future__ import annotations

LONGEST_VALUE = 200
"""Characters of a value that a line repeats."""


class TierexpError(Exception):
    """Base of every error that names something the user can put right."""


def shortened(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text as a line can hold it: its middle is left out where it is too long."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}... ({len(text)} characters)"


class ConfigError(TierexpError):
    """A configuration value that cannot work.

    Args:
        key: The full configuration key, as it is written on the command line (`tier.min_crops`).
        value: The offending value.
        allowed: What would have been accepted, in words.
    """

    def __init__(self, key: str, value: object, allowed: str) -> None:
        self.key = key
        self.value = value
        self.allowed = allowed
        super().__init__(f"{key}={shortened(repr(value))} is not possible: {allowed}")


class DataError(TierexpError):
    """A data file that is missing, malformed, or names something that does not exist."""


class ImageDecodeError(TierexpError):
    """One image that cannot be read; the run counts it as failed and goes on."""


class CheckpointError(TierexpError):
    """A model folder that is not a checkpoint this project can read."""


class MachineError(Exception):
    """What a machine could not give: room on a disk, memory, a process that lives on. Nothing is
    wrong with what the user asked for, and what was measured before is kept.
    """
