"""Averages of neighbours: the grid of tokens made coarser.

A grid of h x w tokens becomes bands of rows, and each band cells of columns, as square as the
number of cells allows, so that the cells are exactly as many as asked. With a number that divides
the grid, plain average pooling. Several grids (the global view, the canvas) share the number by
their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import Kept


def pooled(tokens: Tensor, grids: Sequence[tuple[int, int]], count: int) -> Kept:
    """The mean of every cell, in the place of its first token.

    Args:
        tokens: (N, C), grid after grid, row by row.
        grids: (rows, cols) of each; together N tokens.
        count: Cells, at most N.
    """
    shares = divided(count, [rows * cols for rows, cols in grids])
    before = accumulate(shares, initial=0)
    owners = [
        cells(rows, cols, share) + (first if share else 0)
        for (rows, cols), share, first in zip(grids, shares, before, strict=False)
    ]
    owner = torch.cat(owners).to(tokens.device)  # (N,); -1 in a grid that has no cell
    everyone = torch.arange(len(owner), device=owner.device)
    members = everyone[owner >= 0]
    owner = owner[members]
    sums = tokens.new_zeros(count, tokens.shape[1]).index_add(0, owner, tokens[members])
    sizes = torch.bincount(owner, minlength=count)
    places = members.new_full((count,), len(everyone)).scatter_reduce(0, owner, members, "amin")
    order = places.argsort()
    return Kept(places[order], (sums / sizes[:, None])[order])


def cells(rows: int, cols: int, count: int) -> Tensor:
    """(rows * cols,) int64: the cell of every token of a grid, 0 to count - 1, none empty; -1 for
    all where there is none.

    Args:
        rows: Rows of the grid.
        cols: Columns of the grid.
        count: Cells, at most as many as tokens.
    """
    if count == 0:
        return torch.full((rows * cols,), -1)
    fewest = -(-count // cols)
    bands = min(max(round((count * rows / cols) ** 0.5), fewest), rows, count)
    of_row = [row * bands // rows for row in range(rows)]
    in_band = [(band + 1) * count // bands - band * count // bands for band in range(bands)]
    first = [band * count // bands for band in range(bands)]
    return torch.tensor(
        [first[band] + col * in_band[band] // cols for band in of_row for col in range(cols)]
    )


def divided(count: int, sizes: Sequence[int]) -> list[int]:
    """A number shared out in proportion to sizes, by largest remainder; a small one may get
    nothing.

    Args:
        count: At most the sizes together.
        sizes: Each at least 1.
    """
    total = sum(sizes)
    shares = [count * size // total for size in sizes]
    remainders = [count * size % total for size in sizes]
    for index in sorted(range(len(sizes)), key=lambda i: -remainders[i])[: count - sum(shares)]:
        shares[index] += 1
    return shares
