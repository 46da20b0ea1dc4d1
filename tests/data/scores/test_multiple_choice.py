"""Multiple choice: what is a letter, what is a text, and which of them decides."""

from __future__ import annotations

import pytest

from tierexp.data.scores.multiple_choice import multiple_choice


@pytest.mark.parametrize(
    "prediction",
    [
        "B", "b", "B.", "B)", "B:", "(B)", "(b).", " b \n", "B. a cat", "B) a cat", "(B) a cat",
        "B: anything", "Answer: B", "The answer is B.", "the correct answer is (B)", "Option B",
        "The answer is option B", "answer: B. a cat", "A cat", "a  cat.", "Answer: a cat",
    ],
)  # fmt: skip
def test_ways_to_choose_b_a_cat(prediction: str) -> None:
    assert multiple_choice(prediction, ["B", "a cat"]) == 1.0


@pytest.mark.parametrize(
    "prediction",
    [
        "A", "(A)", "A. a cat", "The answer is A", "a dog", "cat", "", ".", "Both B and C", "Bob",
        "B C", "AB", "because", "answer", "The answer is",
    ],
)  # fmt: skip
def test_what_does_not(prediction: str) -> None:
    """A letter decides alone, and a word that begins with one is no letter."""
    assert multiple_choice(prediction, ["B", "a cat"]) == 0.0


def test_a_text_is_right_only_where_it_is_among_the_answers() -> None:
    assert multiple_choice("a cat", ["B"]) == 0.0
    assert multiple_choice("B. a cat", ["B"]) == 1.0


def test_without_the_letter_the_text_beside_one_decides() -> None:
    assert multiple_choice("B. a cat", ["a cat"]) == 1.0
    assert multiple_choice("B. a dog", ["a cat"]) == 0.0
    assert multiple_choice("B", ["a cat"]) == 0.0


def test_an_article_is_not_option_a() -> None:
    assert multiple_choice("A cat", ["A"]) == 0.0
    assert multiple_choice("a.m.", ["A"]) == 0.0


def test_neither_nothing_nor_half_a_word_chooses() -> None:
    assert multiple_choice("", ["B", "."]) == 0.0
    assert multiple_choice("Answers", ["S"]) == 0.0


def test_several_right_letters_and_their_forms() -> None:
    for prediction in ("a", "C"):
        assert multiple_choice(prediction, ["(A)", "C."]) == 1.0
    assert multiple_choice("B", ["(A)", "C."]) == 0.0


def test_options_that_are_numbers_or_begin_like_an_answer() -> None:
    assert multiple_choice("3", ["C", "3"]) == 1.0
    assert multiple_choice("option value", ["C", "Option value"]) == 1.0
