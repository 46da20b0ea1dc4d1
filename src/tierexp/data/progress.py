"""How far something is that reads many small things before a run begins: a line now and then.

In: the things. Out: the same, one by one. Says nothing of what is done within seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")

FIRST_LINE, NEXT_LINES = 2.0, 10.0
"""Seconds until the first line, and between it and the next."""


def told(items: Iterable[_Item], total: int, what: str) -> Iterator[_Item]:
    """Hand out things, and log how many have been, with the time that is left.

    Args:
        items: What is worked on while it is handed out.
        total: How many they are.
        what: They are, and what happens to them: `images measured`.
    """
    started = perf_counter()
    due = started + FIRST_LINE
    for done, item in enumerate(items):
        now = perf_counter()
        if now >= due:
            left = (now - started) / done * (total - done) if done else 0.0
            _log.info("%d of %d %s, %.0f s left", done, total, what, left)
            due = now + NEXT_LINES
        yield item
