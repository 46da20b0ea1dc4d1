"""Packed questions against sequences written out one by one."""

from __future__ import annotations

import pytest
import torch

from tests.support.molmo_models import KINDS, row_of, sharing, small_engine
from tierexp.models.molmo.packing import packing_of, sight
from tierexp.models.molmo.prefill import prefill


def test_slots_and_back() -> None:
    packing = packing_of(torch.tensor([1, 0, 1, 2, 1]), 3)
    rows = torch.arange(1, 6)
    assert packing.spread(rows).tolist() == [[2, 0, 0], [1, 3, 5], [4, 0, 0]]
    assert packing.collect(packing.spread(rows)).tolist() == rows.tolist()


@pytest.mark.parametrize("biased", [False, True])
def test_a_question_sees_its_image_and_itself(biased: bool) -> None:
    """Each token of a question, and each new token, beside the keys of its own sequence alone."""
    image = torch.tensor([[True, True, True], [False, True, True]])
    real = torch.tensor(
        [[[True, True], [False, True]], [[False, False], [True, True]]]  # one slot is empty
    )
    steps, (images, most, length) = 3, real.shape
    bias = torch.randn(image.shape) if biased else None
    seen = sight(image, real, steps, torch.float32, bias)
    far = image.shape[1]
    for i in range(images):
        for q in range(most):
            before = int(image[i].sum())
            own = [far + q * length + t for t in range(length) if real[i, q, t]]
            for number, column in enumerate(own):
                keys = [p for p in range(far) if image[i, p]] + own[: number + 1]
                row = seen.questions[i, 0, column - far]
                assert row.isfinite().nonzero().flatten().tolist() == keys
                assert seen.positions[i, column - far] == before + number
                weights = torch.zeros(len(row)) if bias is None else torch.cat([bias[i], row[far:]])
                assert torch.equal(row[keys], weights[keys])
            new = [far + most * length + step * most + q for step in range(steps)]
            keys = [p for p in range(far) if image[i, p]] + own + new
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
