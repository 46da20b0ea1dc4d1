"""MME: the official reading of a yes or no, and pairs counted by hand."""

from __future__ import annotations

import pytest

from tierexp.scores.mme import MmeScore, mme, score_pairs, yes_or_no


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        ("yes", "yes"),
        ("No", "no"),
        ("Yes, there is.", "yes"),
        ("no.", "no"),
        ("\n Yes", "yes"),
        ('"Yes"', "yes"),
        # The official code reads four letters and no words.
        ("Not sure", "no"),
        ("know", "no"),
        ("I say yes", None),
        ("The answer is no", None),
        ("maybe", None),
        ("ye", None),
        ("", None),
    ],
)
def test_what_a_prediction_says(prediction: str, said: str | None) -> None:
    assert yes_or_no(prediction) == said


def test_one_question() -> None:
    assert mme("Yes, it is", ["Yes"]) == 1.0
    assert mme("No", ["Yes"]) == 0.0
    assert mme("maybe", ["No"]) == 0.0
    assert mme("", ["No"]) == 0.0


@pytest.mark.parametrize("answers", [["maybe"], ["yes", "no"], ["yes", "yes"], []])
def test_other_answers_are_refused(answers: list[str]) -> None:
    with pytest.raises(ValueError, match="'yes' or 'no'"):
        mme("yes", answers)


def test_pairs_by_hand() -> None:
    """Four images, 2 + 1 + 1 + 0 of 8 questions right, one image of four with both."""
    pairs = [(True, True), (True, False), (False, True), (False, False)]
    result = score_pairs(pairs)
    assert result == MmeScore(accuracy=0.5, accuracy_plus=0.25)
    assert result.score == 75.0


def test_always_yes_is_half_right_and_of_no_image() -> None:
    assert score_pairs([(True, False)] * 30) == MmeScore(0.5, 0.0)
    assert score_pairs([(True, True)] * 30).score == 200.0


def test_no_images() -> None:
    with pytest.raises(ValueError, match="no images"):
        score_pairs([])
