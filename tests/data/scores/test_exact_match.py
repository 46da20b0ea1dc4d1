"""Exact match by hand-made examples."""

from __future__ import annotations

import pytest

from tierexp.data.scores.exact_match import exact_match, normalise_answer


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("K7D", "k7d"),
        ("  Top\n Left. ", "top left"),
        ("9.00", "9.00"),
        ("3 .", "3"),
        ("", ""),
        (".", ""),
        ("a..", "a."),
    ],
)
def test_normalisation(text: str, normalised: str) -> None:
    assert normalise_answer(text) == normalised


def test_any_accepted_answer_counts() -> None:
    assert exact_match(" Yes.", ["no", "yes"]) == 1.0
    assert exact_match("yes, sir", ["no", "yes"]) == 0.0
    assert exact_match("", ["x"]) == 0.0
