"""Pages for tests that read their words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tierexp.report.page import Drawing


def _named(drawings: Sequence[Drawing], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for drawing in drawings:
        for suffix in ("svg", "png"):
            (folder / f"{drawing.name}.{suffix}").touch()


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written without drawing what a test does not look at; files are empty."""
    monkeypatch.setattr("tierexp.report.page._inline_svg", lambda drawing: "")
    monkeypatch.setattr("tierexp.report.page._write_figures", _named)
