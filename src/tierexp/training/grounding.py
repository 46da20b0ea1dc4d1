"""Where the boxes of a picture are among the vision tokens.

In: where a picture lies on its canvas and on the global view. Out: for a box of the picture, what
every token shows of it. Knows nothing of what the boxes hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.data.tierqa.scene import Box, center
from tierexp.imaging.resize import Placement
from tierexp.tiers.geometry import CropGeometry, Tiling

_LEGIBLE = 10.0
"""Letter height in pixels from which the global view is as good to read from as the crops."""
_UNSEEN = 0.1
"""Fraction of a box's sides that may be missing where it counts as shown whole."""


@dataclass(frozen=True)
class TokenCanvas:
    """A canvas as its crops' vision tokens see it; the global view is one of a single crop.

    Args:
        placement: Where the picture lies on it.
        tiling: (rows, cols) of crops.
        geometry: Geometry of the crops; its windows must be whole numbers of tokens.
    """

    placement: Placement
    tiling: Tiling
    geometry: CropGeometry

    @property
    def token(self) -> int:
        """Side of a token, in pixels."""
        return self.geometry.patch_size * self.geometry.pooling[0]

    @cached_property
    def grid(self) -> tuple[int, int]:
        """(rows, cols) of tokens."""
        (top, left), (rows, cols) = self.windows[-1].tolist(), self.geometry.token_grid
        return top + rows, left + cols

    @cached_property
    def windows(self) -> NDArray[np.int64]:
        """(N, 2): the corners (top, left) of the crops, in tokens."""
        step = self.geometry.window_patches // self.geometry.pooling[0]
        rows, cols = self.tiling
        return np.array([(step * r, step * c) for r in range(rows) for c in range(cols)])

    def cut(self, tokens: NDArray[Any]) -> NDArray[Any]:
        """(rows, cols, ...) of the canvas's tokens to (N, rows, cols, ...) of its crops'."""
        rows, cols = self.geometry.token_grid
        return np.stack(
            [tokens[top : top + rows, left : left + cols] for top, left in self.windows]
        )

    def corners(self, box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
        """((top, left), (bottom, right)) of a box of the picture on the canvas, in pixels."""
        x0, y0, x1, y1 = box
        return self.placement.to_canvas(y0, x0), self.placement.to_canvas(y1, x1)

    def shares(self, box: Box) -> NDArray[np.float64]:
        """(rows, cols): the fraction of a box on a token, or of the token under it, whichever is
        more.
        """
        (top, left), (bottom, right) = self.corners(box)
        down, across = (
            _overlaps(start, stop, count, self.token)
            for start, stop, count in zip((top, left), (bottom, right), self.grid, strict=True)
        )
        area = max((bottom - top) * (right - left), 1e-9)
        shares: NDArray[np.float64] = np.outer(down, across) / min(area, float(self.token**2))
        return shares

    def center_shares(self, box: Box) -> NDArray[np.float64]:
        """How near the centre of a box is to the middles of tokens: (rows, cols), bilinear shares
        of the four around it, which change smoothly as it moves from one to the next. They add up
        to 1 where the centre is on the canvas and are 0 where it is not. Beyond their middles,
        the outermost tokens take the whole.
        """
        x, y = center(box)
        at = self.placement.to_canvas(y, x)
        if not all(0 <= place < n * self.token for place, n in zip(at, self.grid, strict=True)):
            return np.zeros(self.grid)
        down, across = (
            np.maximum(0, 1 - np.abs(np.arange(n) - min(max(place / self.token - 0.5, 0), n - 1)))
            for place, n in zip(at, self.grid, strict=True)
        )
        shares: NDArray[np.float64] = np.outer(down, across)
        return shares

    def shows_whole(self, box: Box) -> NDArray[np.bool_]:
        """(N,): which crops show all of a box."""
        near, far = (np.array(corner) for corner in self.corners(box))
        spare = _UNSEEN * (far - near)
        starts = self.windows * self.token  # (N, 2)
        ends = starts + self.geometry.crop_size
        shown: NDArray[np.bool_] = ((starts <= near + spare) & (ends >= far - spare)).all(-1)
        return shown


@dataclass(frozen=True)
class Grounding:
    """Boxes of a picture among all vision tokens of its prompt: K of each of N crops and of the
    global view.

    Args:
        view: The global view.
        canvas: What the crops are cut from.
    """

    view: TokenCanvas
    canvas: TokenCanvas

    def shown_by(self, box: Box) -> NDArray[np.bool_]:
        """(N + 1, K): the tokens that show a box, at least half as much of it as the one that
        shows most on the same canvas; the global view first.
        """
        shown = []
        for canvas in (self.view, self.canvas):
            shares = canvas.shares(box)
            shown.append(canvas.cut((shares > 0) & (2 * shares >= shares.max())))
        by_view = np.concatenate(shown)
        return by_view.reshape(len(by_view), -1)

    def center_shares(self, box: Box) -> NDArray[np.float64]:
        """(N, K) of the crops' tokens, see `TokenCanvas.center_shares`."""
        by_crop = self.canvas.cut(self.canvas.center_shares(box))
        return by_crop.reshape(len(by_crop), -1)

    def reads_from(self, beginning: Box) -> NDArray[np.bool_]:
        """(N + 1,): the views a code is to be read from, the global view first: those that show
        where it begins, the global view only where its letters are legible or no crop does.

        Args:
            beginning: Beginning of the code, see `beginning_of`.
        """
        crops = self.canvas.shows_whole(beginning)
        legible = (beginning[3] - beginning[1]) * self.view.placement.scale[0] >= _LEGIBLE
        return np.concatenate([[legible or not crops.any()], crops])


def beginning_of(plate: Box, first: Box) -> Box:
    """Where a plate's code begins: its first character and the margin before it. Without the
    margin, it could be any character.
    """
    return plate[0], first[1], first[2], first[3]


def _overlaps(start: float, stop: float, count: int, token: int) -> NDArray[np.float64]:
    """(count,) pixels that each token shares with [start, stop) along one axis."""
    first = np.arange(count) * token
    shared = np.minimum(first + token, stop) - np.maximum(first, start)
    overlaps: NDArray[np.float64] = np.maximum(shared, 0.0)
    return overlaps
