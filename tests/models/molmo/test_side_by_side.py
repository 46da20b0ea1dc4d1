"""Parts of a batch that threads answer side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.support.molmo_models import KINDS, row_of, sharing, small_engine
from tierexp.models.confidence import ConfidenceMeter
from tierexp.models.molmo.side_by_side import SideBySide, parts_by_image

LENGTHS = [14, 10, 12, 14, 11]


@contextmanager
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("index", "most", "parts"),
    [
        ([0, 0, 0, 1, 1], 2, [(0, 3), (3, 5)]),
        ([0, 0, 0, 1, 1], 8, [(0, 3), (3, 5)]),
        ([0, 0, 0], 2, [(0, 3)]),
        ([0, 1, 2, 2, 3, 4], 2, [(0, 2), (2, 6)]),
        ([0, 1, 2, 2, 3, 4], 1, [(0, 6)]),
        ([1, 0, 1], 2, [(0, 3)]),  # an image is not to be in two parts
    ],
)
def test_parts_share_no_image(index: list[int], most: int, parts: list[tuple[int, int]]) -> None:
    found = parts_by_image(torch.tensor(index), most)
    assert [(part.start, part.stop) for part in found] == parts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [None, 17])
def test_every_row_answers_as_alone(kind: str, end: int | None) -> None:
    model, inputs = (
        small_engine(kind, end_of_text_id=end),
        sharing(LENGTHS, [0, 0, 1, 1, 2], [0, 2, 1]),
    )
    computing: set[int] = set()
    hook = model.decoder_blocks[0].register_forward_hook(
        lambda *_: computing.add(threading.get_ident())
    )
    meter = ConfidenceMeter()
    with two_threads():
        answers = model.generate(inputs, 6, observer=meter)
    hook.remove()
    assert computing
    assert threading.get_ident() not in computing
    known = meter.facts(len(LENGTHS))
    for row, facts in enumerate(known):
        observer = ConfidenceMeter()
        alone = model.generate(row_of(inputs, row), 6, observer=observer)[0].tolist()
        assert answers[row].tolist() == alone + [end] * (answers.shape[1] - len(alone))
        (expected,) = observer.facts(1)
        assert facts.confidence.mean_log_probability == pytest.approx(
            expected.confidence.mean_log_probability, abs=1e-4
        )


def test_threads_are_shared_out_and_failures_told_when_all_have_ended() -> None:
    ended = []

    def compute(part: int) -> int:
        if part == 0:
            raise MemoryError("no room")
        ended.append(part)
        return torch.get_num_threads()

    with two_threads():
        with pytest.raises(MemoryError, match="no room"):
            SideBySide()(compute, [0, 1])
        assert ended == [1]
        assert SideBySide()(compute, [1, 2]) == [1, 1]
        assert SideBySide()(compute, [1]) == [2]
