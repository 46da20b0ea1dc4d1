"""Freed memory kept for the next step, instead of handed back to the system.

In: nothing. Out: nothing; a setting of the C library's allocator. A training step frees and asks
for the same hundreds of megabytes again and again, and the system clears every page it hands out:
two fifths of a step's time on two cores. Only glibc has the setting; elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of glibc's settings, from its malloc.h."""
_NEVER = -1


def keep_freed_memory() -> None:
    """Let this process, and those it forks, keep what they free, up to the most they ever needed.

    It is never undone: a process that trains is there to train.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
