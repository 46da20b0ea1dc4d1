"""Slabs that worker processes fill again: what is still held is never written over."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tierexp.data.loader import SurvivingLoader
from tierexp.models import shared_memory
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.shared_memory import SLABS, Slabs, received, room, sent


@pytest.fixture
def slabs() -> Iterator[Slabs]:
    """Those of a worker that is this process."""
    made = Slabs(1)
    made.serve(0)
    yield made
    shared_memory._of_this_worker.clear()


def batch(number: int, size: int = 1000) -> list[Tensor]:
    pixels = room((size,), np.dtype(np.uint8))
    pixels[...] = number % 251
    return [torch.tensor([True, False]), torch.from_numpy(pixels), torch.arange(number, number + 5)]


def equal(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    same = [a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(first, second, strict=True)]
    return all(same)


def test_memory_is_used_again_once_nothing_of_it_is_held(slabs: Slabs) -> None:
    made = batch(1)
    arrived = received(sent(made))
    assert equal(arrived, made)
    place = arrived[1].data_ptr()
    assert place == made[1].data_ptr()  # not copied
    held = arrived[2][1:3]  # a part of one tensor of the batch
    del arrived, made
    second = received(sent(batch(2)))
    assert second[1].data_ptr() != place
    assert held.tolist() == [2, 3]
    del held
    assert received(sent(batch(3)))[1].data_ptr() == place
    assert equal(second, batch(2))


def test_whoever_holds_all_slabs_gets_memory_of_its_own(slabs: Slabs) -> None:
    held = [received(sent(batch(number))) for number in range(SLABS)]
    assert slabs.room(1) is None
    held += [received(sent(batch(number))) for number in range(SLABS, 2 * SLABS)]
    for number, arrived in enumerate(held):
        assert equal(arrived, batch(number))


def test_a_larger_batch_gets_a_larger_slab(slabs: Slabs) -> None:
    held = []
    for number, size in enumerate((10, 3 << 20, 10, 4 << 20)):
        held.append(received(sent(batch(number, size))))
        assert equal(held[-1], batch(number, size))
    assert equal(held[0], batch(0, 10))


class Numbers:
    """Indices as samples."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> int:
        return index


def inputs_of(numbers: Sequence[int]) -> ModelInputs:
    pixels = room((len(numbers), 1, 2, 2, 3), np.dtype(np.uint8))
    pixels[...] = np.array(numbers)[:, None, None, None, None]
    ids = torch.tensor(numbers)[:, None]
    return ModelInputs(
        ids, ids > 3, torch.from_numpy(pixels), ids[:, None].float(), ids[:, None], ids[:, 0]
    )


@pytest.mark.parametrize("kept", [1, 24])
def test_batches_of_worker_processes_are_as_they_were_made(kept: int) -> None:
    """Whether the one before is dropped or all are kept, which are more than there are slabs."""
    preparer: Any = Numbers()
    collate: Any = inputs_of
    batches = [[n] for n in range(24)]
    held: list[ModelInputs] = []
    for number, arrived in enumerate(SurvivingLoader(preparer, batches, collate, 1)):
        held = [*held, arrived][-kept:]
        for place, inputs in enumerate(held, number + 1 - len(held)):
            assert inputs.pixels.unique().tolist() == [place]
            assert inputs.input_ids.tolist() == [[place]]
            assert inputs.attention_mask.tolist() == [[place > 3]]
    assert len(held) == kept


def test_without_slabs_tensors_are_pickled() -> None:
    made = batch(1)
    assert equal(received(pickle.loads(pickle.dumps(sent(made)))), made)


def test_batches_come_through_a_pipe_where_no_memory_is_left_to_share(
    slabs: Slabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, whose /dev/shm holds 64 MB."""
    first = received(sent(batch(1)))

    def full(self: Tensor) -> Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(Tensor, "share_memory_", full)
    for size in (1000, 2 * shared_memory._SHARED_FROM):
        made = batch(2, size)
        what = sent(made)
        assert not any(isinstance(part, Tensor) for part in what)
        assert equal(received(pickle.loads(pickle.dumps(what))), made)
    assert equal(first, batch(1))
