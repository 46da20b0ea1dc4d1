"""A small sweep whose questions and answers are written to break a page."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import run_on_fakes

LANDSCAPE, SQUARE, BANNER = [480, 640], [512, 512], [200, 900]


EVIL = '<script>alert("1")</script> costs $5 & $6'


SAMPLES = [
    [LANDSCAPE, EVIL, ["<b>"], "a<i>$x$"],
    [SQUARE, "q1", ["a"], "read"],
    [BANNER, "q2", ["a"], "read"],
    [[0, 1], "q3", ["a"], "read"],
]


TABLE = {EVIL: "<img src=x onerror=alert(2)>", "q1": "a", "q2": "b"}


def sweep(folder: Path, *arguments: str) -> Path:
    outcome = run_on_fakes(
        folder, SAMPLES, TABLE, "-m", "tier=low,medium,fixed_720", "logger=none", "trainer=cpu",
        *arguments,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return folder / "out"
