"""Freed memory is kept: what is allocated again and again finds its pages in place."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from tierexp.training.kept_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * (64 << 20)  # 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([faults() for _ in range(6)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_pages_are_not_asked_for_again() -> None:
    faults = {
        name: int(subprocess.check_output([sys.executable, "-c", SCRIPT, name]))
        for name in ("given_back", "kept")
    }
    assert faults["kept"] < 100 < faults["given_back"]
