"""Without the extra `policies`, commands and help work, and a router is refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tierexp.errors import ConfigError
from tierexp.policies import packages
from tierexp.policies.live import router

HIDE = "import sys; sys.modules['scipy'] = sys.modules['sklearn'] = None; "


@pytest.mark.whole
def test_modules_are_imported_without_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{HIDE}from tierexp.policies import commands, features, live"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_router_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda module: None)
    with pytest.raises(ConfigError) as caught:
        router(preprocessing=object())  # type: ignore[arg-type]
    assert "pip install 'tierexp[policies]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    router()  # to be fitted or replayed: that command asks for its own
