"""ANLS: distances by hand and by their recursive definition, similarities by hand."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierexp.data.scores.anls import anls, levenshtein


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
        ("abc", "abc", 0),
        ("ab", "ba", 2),
    ],
)
def test_distances(left: str, right: str, distance: int) -> None:
    assert levenshtein(left, right) == distance


@given(st.text("ab", max_size=6), st.text("abc", max_size=6))
def test_distances_are_those_of_the_definition(left: str, right: str) -> None:
    @cache
    def defined(m: int, n: int) -> int:
        if not m or not n:
            return m + n
        replaced = defined(m - 1, n - 1) + (left[m - 1] != right[n - 1])
        return min(defined(m - 1, n) + 1, defined(m, n - 1) + 1, replaced)

    assert levenshtein(left, right) == defined(len(left), len(right))


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("stop", ["stop"], 1),
        ("STOP", ["stop"], 1),
        ("  coca \n cola ", ["Coca Cola"], 1),
        # Space sensitive: one letter of nine lacks.
        ("cocacola", ["coca cola"], 8 / 9),
        # 2 of 5 letters: below the threshold; 3 of 5: above it; 2 of 4: on it, which is too far.
        ("hexxo", ["hello"], 3 / 5),
        ("xxxlo", ["hello"], 0),
        ("abxx", ["abcd"], 0),
        # The longer text counts, whichever it is: 3 letters more than 4.
        ("stop it", ["stop"], 4 / 7),
        ("stop", ["stop it"], 4 / 7),
        # The best answer, not the first.
        ("pepsi", ["coca cola", "pepsy", "sprite"], 4 / 5),
        ("7", ["7", "seven"], 1),
        ("", ["stop"], 0),
        ("stop", [""], 0),
        ("", [""], 0),
        (" ", ["\n"], 0),
        ("stop", [], 0),
    ],
)
def test_similarities_by_hand(prediction: str, answers: list[str], score: float) -> None:
    assert anls(prediction, answers) == pytest.approx(score, abs=1e-12)
