"""Methods that look at an image's encoded tokens alone, so that any encoder will do.

In: the tokens that the language model would receive, and where it would. Out: those it receives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.diverse import diverse_places
from tierexp.models.knobs.reduction.kept import Kept, chosen
from tierexp.models.knobs.reduction.pool import pooled
from tierexp.models.knobs.reduction.random import random_places
from tierexp.models.knobs.reduction.settings import Method, RandomTokens, Reduction
from tierexp.models.knobs.reduction.stride import strided_places

Grids = Callable[[], Sequence[tuple[int, int]]]
OF_TOKENS_ALONE: tuple[Method, ...] = ("random", "stride", "pool", "diverse")


def kept_of_tokens(
    reduction: Reduction, tokens: Tensor, grids: Grids, pixels: Tensor, count: int
) -> Kept:
    """What a method keeps of one image.

    Args:
        reduction: One of `OF_TOKENS_ALONE`.
        tokens: (N, C), in the order of the sequence.
        grids: Gives (rows, cols) of the grids that they stand in, one after the other.
        pixels: Pixels of the image, of any shape; they decide what is drawn at random.
        count: How many are kept, at most N.

    Raises:
        ValueError: The method looks at something else.
    """
    match reduction.method:
        case "random":
            assert isinstance(reduction, RandomTokens)
            seed = reduction.seed + int(pixels.sum(dtype=torch.float64).round())
            return chosen(tokens, random_places(len(tokens), count, seed).to(tokens.device))
        case "stride":
            return chosen(tokens, strided_places(len(tokens), count).to(tokens.device))
        case "pool":
            return pooled(tokens, grids(), count)
        case "diverse":
            return chosen(tokens, diverse_places(tokens, count))
        case method:
            raise ValueError(f"{method} looks at more than the encoded tokens")


def grids_of(positions: Tensor) -> list[tuple[int, int]]:
    """The grids, (rows, cols), that tokens at ascending positions stand in: a row ends where
    another token stands between, and a grid where more than one does, or rows of another length
    begin.
    """
    gaps = (positions[1:] - positions[:-1]).tolist()
    grids: list[tuple[int, int]] = []
    row, ended = 1, True
    for gap in [*gaps, 0]:
        if gap == 1:
            row += 1
            continue
        if grids and grids[-1][1] == row and not ended:
            grids[-1] = (grids[-1][0] + 1, row)
        else:
            grids.append((1, row))
        ended, row = gap != 2, 1
    return grids
