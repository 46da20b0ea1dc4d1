"""Relaxed accuracy, for values read off a chart: numbers within 5 %, anything else word for word.

Methani et al., "PlotQA" (WACV 2020), and Masry et al., "ChartQA" (ACL Findings 2022), section 5.1.
What counts as a number follows the code that published results use (Pix2Struct's): a percentage is
its hundredth part. Numbers with thousands separators or the minus sign U+2212, texts to that code,
are numbers here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from tierexp.data.scores.exact_match import normalise_answer

TOLERANCE = Decimal("0.05")
"""Error that is let pass, as a fraction of the right value's size, the bound included."""

_MINUS = "\N{MINUS SIGN}"
_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = re.compile(rf"([+-]?(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]{{1,2}})?)(\s?%)?")


def relaxed(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction matches any of the answers, else 0.0.

    Two numbers match within 5 % of the answer, so that only 0 matches 0; other texts once they are
    normalised as for an exact match. `12%` is 0.12: it matches `0.12` but not `12`. Years are
    numbers like any other, as in the definition, so that 1950 matches 2001.

    Args:
        prediction: What the model said.
        answers: Every accepted answer.
    """
    said, *right = (normalise_answer(text.replace(_MINUS, "-")) for text in (prediction, *answers))
    return float(bool(said) and any(_matches(said, answer) for answer in right))


def _matches(said: str, right: str) -> bool:
    value, target = _number(said), _number(right)
    if value is None or target is None:
        return said == right
    return abs(value - target) <= TOLERANCE * abs(target)


def _number(text: str) -> Decimal | None:
    """The number a text is. Decimal, since in binary 1.05 is more than 5 % off 1."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    value = Decimal(match[1].replace(",", ""))
    return value / 100 if match[2] else value
