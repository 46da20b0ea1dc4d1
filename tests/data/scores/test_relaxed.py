"""Relaxed accuracy: the 5 % bound on both sides, and what is a number."""

from __future__ import annotations

import pytest

from tierexp.data.scores.relaxed import relaxed


@pytest.mark.parametrize(
    ("prediction", "answer", "right"),
    [
        # 5 % of the answer, not of the prediction: of 100, from 95 to 105, the bounds included.
        ("100", "100", True),
        ("105", "100", True),
        ("95", "100", True),
        ("105.01", "100", False),
        ("94.99", "100", False),
        ("100", "95", False),
        ("100", "95.3", True),
        # Where binary fractions would miss the bound.
        ("1.05", "1", True),
        ("0.105", "0.1", True),
        ("-105", "-100", True),
        ("-100", "100", False),
        ("+3", "3", True),
        ("\u2212105", "-100", True),
        ("-100", "\u2212100", True),
        ("\u2212100", "100", False),
        ("3.", "3", True),
        # Only nothing is within 5 % of nothing.
        ("0", "0.0", True),
        ("0.001", "0", False),
        # Thousands separators, rightly placed.
        ("1,000", "1000", True),
        ("1,234,567.8", "1234567", True),
        ("1,040", "1,000", True),
        ("1,00", "100", False),
        ("1,0000", "10000", False),
        # A percentage is its hundredth part.
        ("50%", "0.5", True),
        ("52 %", "50%", True),
        ("53%", "50%", False),
        ("50", "50%", False),
        ("50%", "50", False),
        # Exponents, and numbers of any length.
        ("1e3", "1000", True),
        ("2E-2", "0.02", True),
        ("9" * 5000, "9" * 5000, True),
        (".5", "0.5", True),
        # Years are numbers, as published.
        ("1950", "2001", True),
        # Texts word for word, but for case, space and a final period.
        ("Blue.", "blue", True),
        ("light  blue", "Light blue", True),
        ("blues", "blue", False),
        ("about 100", "100", False),
        ("$100", "100", False),
        ("nan", "1", False),
        ("inf", "Inf", True),
        ("1/2", "0.5", False),
        ("e5", "e5", True),
        ("%", "%", True),
        ("12", "dozen", False),
        ("", "0", False),
        ("", "blue", False),
        ("", ".", False),
    ],
)
def test_one_answer(prediction: str, answer: str, right: bool) -> None:
    assert relaxed(prediction, [answer]) == float(right)


def test_any_of_several_answers() -> None:
    assert relaxed("103", ["Spain", "100", "7"]) == 1.0
    assert relaxed("spain", ["Spain", "100"]) == 1.0
    assert relaxed("50", ["Spain", "100"]) == 0.0
