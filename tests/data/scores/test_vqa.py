"""VQA accuracy: the published rules one by one, and the ten choose nine averages spelt out."""

from __future__ import annotations

from itertools import combinations

import pytest

from tierexp.data.scores.vqa import normalise_vqa, vqa, vqa_thirds


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        # visualqa.org/evaluation, with the page's own examples where it gives any.
        ("Red", "red"),
        ("dont", "don't"),
        ("100,978", "100978"),
        ("girl's", "girl's"),
        ("2:50 pm", "2:50 pm"),
        ("The cat on a mat", "cat on mat"),
        ("an", ""),
        # Number words to ten, and none.
        ("Two", "2"),
        ("ten apples", "10 apples"),
        ("none", "0"),
        ("eleven", "eleven"),
        ("twenty-one", "twenty 1"),
        # Periods, except before a digit.
        ("yes.", "yes"),
        ("3.5", "3.5"),
        ("U.S.A.", "usa"),
        (".5", ".5"),
        ("no . 5", "no 5"),
        # Punctuation: a space, or nothing where a space is there already.
        ("red/white", "red white"),
        ("red, white", "red white"),
        ("black-and-white", "black and white"),
        ("t-shirt - red", "tshirt red"),
        ("long- sleeved t-shirt", "long sleeved tshirt"),
        ("long-\tsleeved t-shirt", "long sleeved tshirt"),
        ("(red)", "red"),
        ("what?!", "what"),
        # A comma between digits joins what any mark of the text parts.
        ("1,000 red/white", "1000 redwhite"),
        # Neither in the list nor in a rule.
        ("$5", "$5"),
        ("50%", "50%"),
        # Contractions: any one apostrophe may lack; words of their own are left alone.
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("couldntve", "couldntve"),
        ("twas five oclock", "'twas 5 o'clock"),
        ("YALL'D'VE", "y'all'd've"),
        ("youve isnt maam wheres", "you've isn't ma'am where's"),
        ("ill", "ill"),
        ("lets", "lets"),
        ("im", "im"),
        ("somebody'd", "somebodyd"),
        ("somebodyd", "somebodyd"),
        # White space.
        ("  a\tbig \n dog ", "big dog"),
        ("", ""),
    ],
)
def test_processing(text: str, normalised: str) -> None:
    assert normalise_vqa(text) == normalised


@pytest.mark.parametrize(
    ("agree", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1), (10, 1)]
)
def test_ten_annotators_each_left_out_once(agree: int, score: float) -> None:
    """Of 3 that agree: left out one of them, 2 remain and give 2 / 3, three times; else 1."""
    answers = ["red"] * agree + ["blue"] * (10 - agree)
    assert vqa("red", answers) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("count", [4, 5, 10, 12])
def test_it_is_the_mean_over_all_choices_of_all_but_one(count: int) -> None:
    for agree in range(count + 1):
        answers = ["yes"] * agree + [f"other {number}" for number in range(count - agree)]
        subsets = list(combinations(answers, count - 1))
        mean = sum(min(1, subset.count("yes") / 3) for subset in subsets) / len(subsets)
        assert vqa("yes", answers) == pytest.approx(mean, abs=1e-12)


def test_four_who_agree_are_exactly_right() -> None:
    assert vqa("2", ["2"] * 4 + ["3"] * 6) == 1.0


def test_both_sides_are_processed() -> None:
    answers = ["two", "2", "Two.", "the two"] + ["3"] * 6
    assert vqa("A 2!", answers) == 1.0


def test_unanimous_answers_are_processed_too() -> None:
    """As published; the official code would compare the raw texts here."""
    assert vqa("Yes.", ["yes"] * 10) == 1.0


def test_what_nothing_is_left_of_is_never_right() -> None:
    for prediction in ("", "The", "?"):
        for answers in (["yes"] * 10, ["A"] * 10, [""] * 10):
            assert vqa(prediction, answers) == vqa_thirds(prediction, answers) == 0.0


@pytest.mark.parametrize(
    ("agree", "score"), [(0, 0), (1, 1 / 3), (2, 2 / 3), (3, 1), (4, 1), (10, 1)]
)
def test_thirds_as_molmo_reports_them(agree: int, score: float) -> None:
    answers = ["Two."] * agree + ["blue"] * (10 - agree)
    assert vqa_thirds("2", answers) == pytest.approx(score, abs=1e-12)


def test_too_few_annotators() -> None:
    for score in (vqa, vqa_thirds):
        with pytest.raises(ValueError, match="at least 4, not 3"):
            score("yes", ["yes"] * 3)
