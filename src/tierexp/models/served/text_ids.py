"""Texts as rows of numbers and back: what stands for an answer's ids where a server sends text.

A number is a character's code point. How many tokens the text was, the server says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

END = -1
"""After the last character of a row."""


def text_ids(texts: Sequence[str]) -> Tensor:
    """(B, L) int64: the code points of B texts, `END` after the shorter ones.

    Args:
        texts: At least one.
    """
    import torch

    longest = max(len(text) for text in texts)
    rows = [[*map(ord, text)] + [END] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.long).reshape(len(texts), longest)


class TextDecoder:
    """A `QuestionTokenizer` of such rows."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a row."""
        return "".join(map(chr, takewhile(lambda number: number != END, ids)))
