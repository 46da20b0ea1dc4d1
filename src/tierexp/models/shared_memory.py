"""Memory through which worker processes hand batches over, used again and again.

In: in a worker process, arrays and tensors. Out: in the main process, tensors in the same memory.
New shared memory is made, emptied page by page and handed over as a file, which took half of the
time that a small image takes; so a worker has a few slabs, and fills one anew once nothing of what
was in it is left in the main process. Where none is free, memory is shared as torch has it; where
no more can be shared (a container has 64 MB unless told otherwise), a pipe is used instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SLABS = 6
"""Of each worker: one that it fills, two that wait for the main process, and those in use there."""
_TAIL = 1 << 21
"""Bytes behind the array that a slab is for: for what is handed over with it."""
_ALIGNED = 64
_SHARED_FROM = 1 << 20
"""Bytes of a tensor from which torch's way of sharing is worth its millisecond."""

_numbers = count()
_known: WeakValueDictionary[int, Slabs] = WeakValueDictionary()
_of_this_worker: list[Slabs] = []


class Slabs:
    """Those of the worker processes of one data loader; made before they are.

    Args:
        workers: How many processes there will be.
    """

    def __init__(self, workers: int) -> None:
        self._number = next(_numbers)
        taken = torch.zeros(workers, SLABS, dtype=torch.uint8)
        self._taken: Tensor = taken.share_memory_()  # type: ignore[no-untyped-call]
        self._worker = -1
        self._memory: dict[tuple[int, int], Tensor] = {}
        self._ends: dict[int, int] = {}  # of what is in a slab
        self._untold: set[int] = set()  # slabs that the main process has not got
        _known[self._number] = self

    def serve(self, worker: int) -> None:
        """Be those of this process; a data loader's `worker_init_fn`."""
        self._worker = worker
        _of_this_worker[:] = [self]

    def room(self, nbytes: int) -> Tensor | None:
        """Memory for what is to be handed over, (nbytes,) uint8; None where no slab is free."""
        free = [slot for slot in range(SLABS) if not self._flags[self._worker, slot]]
        if not free:
            return None
        # The smallest that is large enough, or else the next one to be made.
        sizes = {slot: self._size(slot) for slot in free}
        fitting = [slot for slot in free if sizes[slot] >= nbytes + _TAIL]
        slot = min(fitting or free, key=lambda slot: sizes[slot])
        if not fitting:
            made = torch.empty(nbytes + _TAIL, dtype=torch.uint8)
            if not _shared(made):
                return None
            self._memory[self._worker, slot] = made
            self._untold.add(slot)
        self._flags[self._worker, slot] = 1
        self._ends[slot] = nbytes
        return self._memory[self._worker, slot][:nbytes]

    @property
    def _flags(self) -> NDArray[np.uint8]:
        """(workers, SLABS): whether a slab is lent to the main process."""
        flags: NDArray[np.uint8] = self._taken.numpy()
        return flags

    def _size(self, slot: int) -> int:
        memory = self._memory.get((self._worker, slot))
        return 0 if memory is None else len(memory)

    def put(self, tensors: Sequence[Tensor]) -> tuple[Any, ...] | None:
        """Where tensors lie, one of which is in a slab, and the others now beside it; None where
        that is not so.
        """
        slot = next((slot for t in tensors for slot in self._ends if self._holds(slot, t)), None)
        if slot is None:
            return None
        memory = self._memory[self._worker, slot]
        places = []
        for tensor in tensors:
            if self._holds(slot, tensor):
                start = tensor.data_ptr() - memory.data_ptr()
            else:
                start = -(-self._ends[slot] // _ALIGNED) * _ALIGNED
                if start + tensor.nbytes > len(memory):
                    return None
                self._ends[slot] = start + tensor.nbytes
                # numpy writes, in whatever thread, and whether or not torch is in inference mode.
                part = memory.numpy()[start : self._ends[slot]]
                part.view(tensor.numpy().dtype).reshape(tensor.shape)[...] = tensor.numpy()
            places.append((start, tuple(tensor.shape), tensor.numpy().dtype))
        told = memory if slot in self._untold else None
        self._untold.discard(slot)
        return self._number, self._worker, slot, told, places

    def _holds(self, slot: int, tensor: Tensor) -> bool:
        memory = self._memory[self._worker, slot]
        return 0 <= tensor.data_ptr() - memory.data_ptr() < len(memory)

    def get(
        self, worker: int, slot: int, memory: Tensor | None, places: Sequence[tuple[Any, ...]]
    ) -> list[Tensor]:
        """In the main process, the tensors that `put` has put somewhere."""
        if memory is not None:
            self._memory[worker, slot] = memory
        # All tensors are views of this array: with the last of them, it goes.
        lent: NDArray[np.uint8] = self._memory[worker, slot].numpy()
        finalize(lent, self._flags.__setitem__, (worker, slot), 0).atexit = False
        return [
            torch.from_numpy(
                lent[start : start + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
            )
            for start, shape, dtype in places
        ]


def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array, whatever is in it: of a worker, one that is handed over without being copied."""
    nbytes = math.prod(shape) * dtype.itemsize
    memory = _of_this_worker[0].room(nbytes) if _of_this_worker else None
    return np.empty(shape, dtype) if memory is None else memory.numpy().view(dtype).reshape(shape)


def sent(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """What to pickle instead of tensors, for `received`: only a large one is shared by itself,
    since to hand one over takes a millisecond, whatever its size.
    """
    placed = _of_this_worker[0].put(tensors) if _of_this_worker else None
    if placed is not None:
        return placed
    return tuple(t if _to_share(t) else t.numpy() for t in tensors)


def _to_share(tensor: Tensor) -> bool:
    """Whether a tensor goes as one, through shared memory; otherwise its values are pickled."""
    if tensor.device.type != "cpu":
        return True
    return tensor.nbytes >= _SHARED_FROM and _shared(tensor)


def _shared(tensor: Tensor) -> bool:
    """Move a tensor into shared memory; whether there was room."""
    try:
        tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        return False
    return True


def received(what: tuple[Any, ...]) -> list[Tensor]:
    """The tensors of which this was `sent`."""
    if isinstance(what[0], int):
        number, *where = what
        return _known[number].get(*where)
    return [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in what]
