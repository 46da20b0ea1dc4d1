"""Places for boxes, so that none overlaps another.

In: sizes of boxes, largest first. Out: whole-pixel corners drawn uniformly from the free places.
Knows nothing about what the boxes hold.
"""

from __future__ import annotations

from random import Random

from tierexp.data.tierqa.scene import Box

TRIES = 60


class Layout:
    """The boxes of a picture so far.

    Args:
        height: Height of the picture, in pixels.
        width: Width of the picture, in pixels.
        gap: Pixels kept free around every box, also towards the picture's edge.
        tries: Places drawn for a box before it is given up.
    """

    def __init__(self, height: int, width: int, gap: int, tries: int = TRIES) -> None:
        self._height, self._width, self._gap = height, width, gap
        self._tries = tries
        self._boxes: list[Box] = []

    def place(self, rng: Random, height: int, width: int) -> Box | None:
        """A free place for a box of this size, which is then taken; None if none was found."""
        rows = self._height - 2 * self._gap - height
        cols = self._width - 2 * self._gap - width
        if rows < 0 or cols < 0:
            return None
        for _ in range(self._tries):
            x = self._gap + rng.randrange(cols + 1)
            y = self._gap + rng.randrange(rows + 1)
            box = (float(x), float(y), float(x + width), float(y + height))
            if not any(self._close(box, other) for other in self._boxes):
                self._boxes.append(box)
                return box
        return None

    def _close(self, one: Box, other: Box) -> bool:
        gap = self._gap
        return (
            one[0] < other[2] + gap
            and other[0] < one[2] + gap
            and one[1] < other[3] + gap
            and other[1] < one[3] + gap
        )
