"""Which attention heads of the decoder are taught which step of answering. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal["attribute", "object", "count", "name", "character"]


@dataclass(frozen=True)
class TaughtHead:
    """An attention head that is taught a step of answering.

    Args:
        step: What it looks for: a name's last word for its `attribute` (the word before), for the
            `object` it names, or for everything it names, to `count` it; what predicts an answer,
            for the `name` in the question or for the next `character`; the beginning of text
            where nothing of it is left.
        quarter: The quarter of the decoder's depth whose first block it is in.
        head: Its number in that block.
    """

    step: Step
    quarter: int
    head: int


QUARTERS = 4
TAUGHT_HEADS = (
    TaughtHead("attribute", 0, 0),
    TaughtHead("object", 1, 0),
    TaughtHead("name", 1, 1),
    TaughtHead("count", 1, 2),
    TaughtHead("count", 1, 3),
    TaughtHead("character", 2, 0),
    TaughtHead("name", 2, 1),
    TaughtHead("character", 3, 0),
    TaughtHead("name", 3, 1),
)
"""A way to answer in four blocks: "the red circle" becomes one name, what it names is found; the
answer's tokens learn the name, then either spell or read off what was found. Two heads count, as
one that looks at each thing a little more or less strongly errs by one. The last two steps are
taught twice, so that a model can do without one of the deeper blocks."""


TAUGHT_PER_BLOCK = 1 + max(taught.head for taught in TAUGHT_HEADS)
"""Heads that a block needs."""
