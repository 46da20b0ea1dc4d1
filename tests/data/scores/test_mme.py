"""MME: the official reading of a yes or no, and pairs counted by hand."""

from __future__ import annotations

import pytest

from tierexp.data.scores.mme import (
    COGNITION,
    PERCEPTION,
    MmeScore,
    add_up,
    mme,
    score_pairs,
    yes_or_no,
)


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


def test_published_figures_add_up_the_scores_of_subtasks() -> None:
    """All right but for one of the two images of `count`, with one wrong answer: 75 + 50."""
    answers = [
        (task, f"{task}/{image}", not (task == "count" and image == 0 and question == 0))
        for task in (*PERCEPTION, *COGNITION)
        for image in range(2)
        for question in range(2)
    ]
    totals = add_up(answers)
    assert (totals.perception, totals.cognition) == (9 * 200 + 125, 4 * 200)
    assert (totals.score_by_task["count"], totals.num_images) == (125.0, 28)


def test_one_image_in_two_subtasks_is_two() -> None:
    assert add_up([(task, "a", True) for task in ("OCR", "count") * 2]).num_images == 2


def test_half_a_pair_and_missing_subtasks_are_left_out() -> None:
    totals = add_up([("OCR", "a", True), ("OCR", "a", True), ("OCR", "b", False)])
    assert totals.score_by_task == {"OCR": 200.0}
    assert (totals.perception, totals.cognition, totals.num_images) == (None, None, 1)
    assert add_up([("OCR", "a", True)]).score_by_task == {}


def test_three_answers_are_no_pair() -> None:
    with pytest.raises(ValueError, match="image a has 3 answers"):
        add_up([("OCR", "a", True)] * 3)
