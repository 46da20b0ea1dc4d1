"""Batches hold one crop count, every sample once, whatever the batch size."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.brute_force import LOW, MEDIUM, select
from tierexp import CropGeometry, Threshold
from tierexp.data.plan import divide, plan_evaluation
from tierexp.data.sample import Sample
from tierexp.errors import ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing


class Sizes:
    """Samples that have nothing but a size; a size of None cannot be read."""

    name = "sizes"

    def __init__(self, sizes: list[tuple[int, int] | None]) -> None:
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), "?", ("!",), "sizes")

    def image_key(self, index: int) -> str:
        return str(index)

    def image_size(self, index: int) -> tuple[int, int]:
        size = self._sizes[index]
        if size is None:
            raise ImageDecodeError("broken header")
        return size

    def image(self, index: int) -> NDArray[np.uint8]:
        raise AssertionError("a plan is made without decoding anything")


sizes = st.lists(st.none() | st.tuples(st.integers(1, 900), st.integers(1, 900)), max_size=40)


@given(sizes, st.integers(1, 9))
def test_every_sample_is_in_one_batch_of_its_crop_count(
    drawn: list[tuple[int, int] | None], batch_size: int
) -> None:
    plan = plan_evaluation(Sizes(drawn), Preprocessing(MEDIUM), batch_size)
    assert sorted(index for batch in plan for index in batch) == list(range(len(drawn)))
    for batch in plan:
        assert 1 <= len(batch) <= batch_size
        readable = {index in plan.selections for index in batch}
        assert len(readable) == 1
        if readable == {True}:
            assert len({plan.selections[index].crops for index in batch}) == 1
    full = [batch for batch in plan if len(batch) == batch_size]
    assert len(plan) - len(full) <= 6  # five crop counts and the unreadable: one rest of each


@given(sizes)
def test_selections_are_those_of_the_tier(drawn: list[tuple[int, int] | None]) -> None:
    plan = plan_evaluation(Sizes(drawn), Preprocessing(LOW, Threshold(0.0)), 4)
    for index, size in enumerate(drawn):
        if size is None:
            assert plan.unreadable[index] == "broken header"
        else:
            assert plan.sizes[index] == size
            assert plan.selections[index].tiling == select(LOW, *size, 0)  # type: ignore[arg-type]


class Asked(Sizes):
    """Images of 480 x 640 pixels, or on their side, with questions of so many characters."""

    def __init__(self, samples: list[tuple[str, bool, int]]) -> None:
        super().__init__([(640, 480) if upright else (480, 640) for _, upright, _ in samples])
        self._samples = samples

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), "?" * self._samples[index][2], ("!",), "asked")

    def image_key(self, index: int) -> str:
        return self._samples[index][0]


def test_short_prompts_share_batches() -> None:
    """2 x 3 crops give the language model 20 x 28 tokens, 3 x 2 as many; 1 x 6 only 12 x 52."""
    banner = (224 + 112, 6 * 224 + 112)
    drawn = [(480, 640), banner, (480, 640), banner, (640, 480)]
    plan = plan_evaluation(Sizes(drawn), Preprocessing(MEDIUM), 3)
    assert [plan.selections[index].crops for index in range(5)] == [6] * 5
    tokens = [CropGeometry().llm_vision_tokens(plan.selections[index].tiling) for index in range(5)]
    assert tokens == [704, 768, 704, 768, 704]
    assert plan.batches == ((0, 2, 4), (1, 3))


def test_long_questions_come_last_and_those_about_one_image_together() -> None:
    asked = Asked([("a", False, 9), ("a", False, 300), ("b", True, 10), ("c", False, 8)])
    plan = plan_evaluation(asked, Preprocessing(MEDIUM), 2)
    assert plan.batches == ((2, 3), (0, 1))


@pytest.mark.parametrize(
    ("questions", "batch_size", "lengths"),
    [
        ([3, 3, 3], 7, [6, 3]),
        ([3, 3, 3], 4, [3, 3, 3]),
        ([1, 1, 1, 1, 1], 2, [2, 2, 1]),
        ([7, 2], 3, [3, 3, 3]),  # the seventh and the two
        ([2, 7, 1], 3, [3, 3, 3, 1]),  # parted either way
    ],
)
def test_questions_about_one_image_share_a_batch_where_they_fit(
    questions: list[int], batch_size: int, lengths: list[int]
) -> None:
    asked = Asked([(str(i), False, 5) for i, number in enumerate(questions) for _ in range(number)])
    plan = plan_evaluation(asked, Preprocessing(MEDIUM), batch_size)
    assert [len(batch) for batch in plan] == lengths
    assert [index for batch in plan for index in batch] == list(range(sum(questions)))


def test_the_plan_does_not_depend_on_the_batch_size() -> None:
    drawn = [(480, 640), (100, 900), None, (640, 480), (500, 500)]
    plans = [plan_evaluation(Sizes(drawn), Preprocessing(MEDIUM), n) for n in (1, 5)]
    assert plans[0].selections == plans[1].selections
    assert len(plans[0]) == len(drawn)


def test_an_empty_data_set_has_no_batches() -> None:
    assert len(plan_evaluation(Sizes([]), Preprocessing(MEDIUM), 4)) == 0


def test_crops_follow_the_models_geometry() -> None:
    wide_margins = CropGeometry(overlap_margins=(8, 8))
    plan = plan_evaluation(Sizes([(512, 700)]), Preprocessing(MEDIUM, geometry=wide_margins), 1)
    a = (700 - wide_margins.margin_size) / (512 - wide_margins.margin_size)
    selection = plan.selections[0]
    assert selection.mismatch == pytest.approx(abs(selection.tiling[1] / selection.tiling[0] - a))


weights = st.lists(st.integers(0, 200), max_size=30)


@given(weights, st.integers(1, 9))
def test_processes_share_all_batches_and_none_twice(drawn: list[int], number: int) -> None:
    shares = divide(drawn, number)
    assert len(shares) == number
    assert sorted(place for share in shares for place in share) == list(range(len(drawn)))
    assert all(share == sorted(share) for share in shares)


@given(weights, st.integers(1, 9))
def test_no_share_is_heavier_than_another_by_more_than_a_batch(
    drawn: list[int], number: int
) -> None:
    shares = divide(drawn, number)
    totals = [sum(drawn[place] for place in share) for share in shares]
    assert max(totals) - min(totals) <= max(drawn, default=0)
    counts = [len(share) for share in shares]
    assert min(counts) > 0 or max(counts) < 2


@given(st.lists(st.integers(1, 20), max_size=8), st.integers(1, 3))
def test_the_heaviest_share_is_within_a_third_of_the_best_possible(
    drawn: list[int], number: int
) -> None:
    """Graham's bound, 4/3 - 1/(3 n), against every division there is."""
    best = min(
        max(
            sum(weight for weight, owner in zip(drawn, owners, strict=True) if owner == share)
            for share in range(number)
        )
        for owners in product(range(number), repeat=len(drawn))
    )
    heaviest = max(sum(drawn[place] for place in share) for share in divide(drawn, number))
    assert heaviest <= (4 / 3 - 1 / (3 * number)) * best + 1e-9


def test_a_batch_weighs_its_crops_and_global_views() -> None:
    plan = plan_evaluation(Sizes([(480, 640), (512, 512), None]), Preprocessing(MEDIUM), 8)
    assert [plan.weight(batch) for batch in plan] == [5, 7, 0]  # 4 crops, 6 crops, unreadable
