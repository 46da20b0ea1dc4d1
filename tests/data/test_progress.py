"""Progress lines, by a clock that the test turns."""

from __future__ import annotations

import pytest

from tierexp.data import progress


def lines(
    seconds_each: float,
    total: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> list[str]:
    clock = [100.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: clock[0])
    seen = []
    with caplog.at_level("INFO", "tierexp"):
        for item in progress.told(range(total), total, "things read"):
            seen.append(item)
            clock[0] += seconds_each
    assert seen == list(range(total))
    return caplog.messages


def test_nothing_is_said_of_what_is_done_at_once(monkeypatch, caplog) -> None:
    assert lines(0.01, 100, monkeypatch, caplog) == []


def test_a_line_now_and_then(monkeypatch, caplog) -> None:
    """100 things of half a second: after 2 s, then every 10 s."""
    assert lines(0.5, 100, monkeypatch, caplog) == [
        "4 of 100 things read, 48 s left",
        "24 of 100 things read, 38 s left",
        "44 of 100 things read, 28 s left",
        "64 of 100 things read, 18 s left",
        "84 of 100 things read, 8 s left",
    ]
