"""Parts of a batch, each answered by a thread of its own.

Threads of a CPU that share every operation of a small model wait for one another after each, and
spin meanwhile, at the cost of whoever prepares the next batch. Parts that are about different
images have nothing to wait for until each has its answers. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch
from torch import Tensor

from tierexp.models.threads import torch_threads

Part = TypeVar("Part")
Result = TypeVar("Result")


def parts_by_image(image_index: Tensor, most: int) -> list[range]:
    """Rows of a batch in parts of about as many images each, no image in two of them.

    Args:
        image_index: (B,) int64, the image of each row, on a CPU.
        most: Parts there may be, at least 1.

    Returns:
        All rows, in their order; one part where the rows of an image do not follow one another.
    """
    index = image_index.tolist()
    if index != sorted(index):
        return [range(len(index))]
    starts = [row for row, image in enumerate(index) if row == 0 or image != index[row - 1]]
    count = min(most, len(starts))
    firsts = [starts[part * len(starts) // count] for part in range(count)]
    return [range(a, b) for a, b in zip(firsts, [*firsts[1:], len(index)], strict=True)]


class SideBySide:
    """Threads that live as long as this does."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0

    def __call__(self, compute: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """What comes of every part, in order; torch's threads are shared out among them.

        Args:
            compute: Is called in several threads at once.
            parts: At least one.

        Raises:
            BaseException: What the first part that fails has raised, once all have ended.
        """
        if self._pool is None or self._size < len(parts):
            self._pool, self._size = ThreadPoolExecutor(len(parts)), len(parts)
        threads = max(1, torch.get_num_threads() // len(parts))

        def alone(part: Part) -> Result:
            torch.set_num_threads(threads)  # of this thread, as a new one has its own number
            return compute(part)

        with torch_threads(threads):  # for MKL, whose number is everybody's
            futures = [self._pool.submit(alone, part) for part in parts]
            wait(futures)
        return [future.result() for future in futures]
