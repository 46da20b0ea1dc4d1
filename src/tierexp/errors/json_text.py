"""JSON that somebody else may have written: whatever is wrong with it is one kind of exception."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that a text holds.

    Args:
        text: As it was read; bytes are UTF-8.

    Raises:
        ValueError: It is not JSON, not UTF-8, nested deeper than Python can follow, or holds a
            number of thousands of digits. The message has one line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deep") from None
