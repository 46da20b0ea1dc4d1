"""Pages for tests that read their words."""

from __future__ import annotations

import pytest


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written without drawing what a test does not look at."""
    monkeypatch.setattr("tierexp.report.page._inline_svg", lambda drawing: "")
    monkeypatch.setattr("tierexp.report.page._write_figures", lambda drawings, folder: None)
