"""Packed questions against sequences written out one by one."""

from __future__ import annotations

import pytest
import torch

from tests.support.molmo_models import KINDS, row_of, sharing, small_engine
from tierexp.models.molmo.packing import in_rows, packing_of, sight
from tierexp.models.molmo.prefill import prefill


def test_slots_and_back() -> None:
    packing = packing_of(torch.tensor([1, 0, 1, 2, 1]), 3)
    rows = torch.arange(1, 6)
    assert packing.spread(rows).tolist() == [[2, 0, 0], [1, 3, 5], [4, 0, 0]]
    assert packing.collect(packing.spread(rows)).tolist() == rows.tolist()


def test_questions_follow_one_another_without_padding() -> None:
    packing = packing_of(torch.tensor([1, 0, 1]), 2)
    ids = torch.tensor([[0, 7, 8], [4, 5, 6], [0, 0, 9]])
    rows = in_rows(packing, ids, ids > 0)
    assert rows.ids.tolist() == [[4, 5, 6], [7, 8, 9]]
    assert rows.owners.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert rows.ends.tolist() == [[3, 3], [2, 3]]  # one slot is empty
    assert rows.lengths.tolist() == [[3, 0], [2, 1]]


@pytest.mark.parametrize("biased", [False, True])
def test_a_question_sees_its_image_and_itself(biased: bool) -> None:
    """Each token of a question, and each new token, beside the keys of its own sequence alone."""
    image = torch.tensor([[True, True, True], [False, True, True]])
    packing = packing_of(torch.tensor([0, 0, 0, 1, 1]), 2)
    real = torch.tensor([[n > 2, n > 1, n > 0] for n in (2, 1, 3, 1, 2)])
    rows = in_rows(packing, torch.ones(5, 3, dtype=torch.int64), real)
    lengths = [[2, 1, 3], [1, 2, 0]]  # one slot is empty
    steps, bias = 3, torch.randn(image.shape) if biased else None
    seen = sight(image, rows, steps, torch.float32, bias)
    far, width, most = 3, 6, 3
    for i in range(2):
        before = int(image[i].sum())
        of_image = [p for p in range(far) if image[i, p]]
        start = far
        for q in range(most):
            own = list(range(start, start + lengths[i][q]))
            start += lengths[i][q]
            for number, column in enumerate(own):
                keys = of_image + own[: number + 1]
                row = seen.questions[i, 0, column - far]
                assert row.isfinite().nonzero().flatten().tolist() == keys
                assert seen.positions[i, column - far] == before + number
                weights = torch.zeros(len(row)) if bias is None else torch.cat([bias[i], row[far:]])
                assert torch.equal(row[keys], weights[keys])
            new = [far + width + step * most + q for step in range(steps)]
            keys = of_image + own + new
            assert seen.answers[i, 0, q].isfinite().nonzero().flatten().tolist() == keys
            assert seen.next_positions[i, q] == before + len(own)
    assert seen.questions.isfinite().any(dim=-1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [1, 0, 1, 0, 1]])
def test_answers_are_those_of_prompts_in_rows_of_their_own(kind: str, index: list[int]) -> None:
    model, inputs = small_engine(kind), sharing([14, 10, 12, 14, 11], index, [0, 2])
    with torch.inference_mode():
        features = model.vision_features(inputs.pixels, inputs.patch_mask)
        read = prefill(model.network, inputs, features, 5, model.knobs, pack=True)
    assert read.packed is not None
    together = model.generate(inputs, 5)
    for row, answer in enumerate(together.tolist()):
        assert answer == model.generate(row_of(inputs, row), 5)[0].tolist()


def test_questions_of_very_unequal_number_are_not_packed() -> None:
    model = small_engine("dense")
    inputs = sharing([12] * 6, [0, 1, 2, 3, 3, 3], [0, 0, 0, 0])
    with torch.inference_mode():
        features = model.vision_features(inputs.pixels, inputs.patch_mask)
        assert (
            prefill(model.network, inputs, features, 1, model.knobs, pack=True).packed is not None
        )
        inputs = sharing([12] * 7, [0, 1, 2, 3, 3, 3, 3], [0, 0, 0, 0])
        features = model.vision_features(inputs.pixels, inputs.patch_mask)
        assert prefill(model.network, inputs, features, 1, model.knobs, pack=True).packed is None
