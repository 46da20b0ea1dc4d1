"""Parameters of tests."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """Values of a `parametrize` that only `make test-slow` goes through."""
    return pytest.param(*values, marks=pytest.mark.slow)
