"""Reading a choice: what states a letter, what only looks like one, and which option is meant."""

from __future__ import annotations

import pytest

from tierexp.data.scores.choice_reading import read_letter

ANIMALS = ["a blue van", "a cat", "A red sports car", "a dog on a mat"]
ARTICLES = ["A blue van", "A bus", "A red sports car"]
CELL = ["osmosis", "diffusion", "transport", "endocytosis"]

STATED = [
    "B", "b", "B.", "b.", "B)", "B:", "B,", "B!", "(B)", "(b)", "[B]", "{B}", '"B"', "'B'",
    "\u201cB\u201d",
    "**B**", "`B`", "$B$", r"\(B\)", r"\boxed{B}", r"The answer is $\boxed{\text{B}}$.",
    "Answer: B", "Answer: **B**", "**Answer:** B", "ANSWER: B", "Answer:\nB", "answer is b",
    "<answer>B</answer>", "=> B", "Option B", "Letter B", "It is B.", "It's B", "I think (B)",
    "So the answer is B.", "Hence B.", "The answer is (B).", "The correct answer would be: (b)",
    "The answer is B because it has four legs", "The best answer to what this shows is option B",
    "I'd say B", "My pick: B", "I would go with B here.", "I choose (B).", "B is correct.",
    "B because A is too small", "Looking at the picture, B looks right.",
    "B.cat", "B a dog", "(B)a dog", "B\ncat", "B - cat", "B \u2014 cat", "B, since it purrs",
    "B. a dog", "Option (B): a dog", "The correct option is: B. a cat",
    "\uff22", "\uff08\uff22\uff09", "\u300cB\u300d", "\u3010B\u3011", "\u7b54\u6848\u662fB",
    "\u7b54\u6848\uff1a\uff22\u3002", "\u9009B", "\u6b63\u89e3\u306fB\u3067\u3059",
    "Thus, option b is correct.", "I pick option b", "{\"answer\": \"B\"}", "answer=B",
    "<think>It could be A.</think>\nB", "\\[\\boxed{(B)}\\]", "B\n\nExplanation: the ears.",
]  # fmt: skip


@pytest.mark.parametrize("options", [ANIMALS, []], ids=["options", "letters alone"])
@pytest.mark.parametrize("prediction", STATED)
def test_a_letter_is_read_however_it_is_stated(prediction: str, options: list[str]) -> None:
    assert read_letter(prediction, options) == "B"


@pytest.mark.parametrize(
    ("prediction", "letter"),
    [
        ("The answer is A. Wait, it purrs, so the answer is B.", "B"),
        ("It cannot be A, so it is B.", "B"),
        ("A is wrong. B is correct.", "B"),
        ("Not A but B.", "B"),
        ("The answer is B, not C.", "B"),
        ("While A looks right, the answer must be B.", "B"),
        ("I'd rule out A, C and D, so B.", "B"),
        ("Between A and B, I choose B.", "B"),
        ("The answer is (B). (A) and (C) are wrong.", "B"),
        ("(A) has no legs. (C) has wheels. Therefore (B).", "B"),
        ("A: no. B: yes. C: no.\nAnswer: B", "B"),
        ("B is wrong, so it must be C.", "C"),
        ("A. no legs\nB. fur\nC. wheels\n\nSo only B remains.", "B"),
        ("Let us see each option:\nA. It has wheels.\nB. It purrs.\nAnswer: B", "B"),
        ("A. no\nB. yes\n\nSo only A remains.", "A"),
    ],
)
def test_of_several_letters_the_one_that_is_said_to_be_the_answer(
    prediction: str, letter: str
) -> None:
    assert read_letter(prediction, ANIMALS) == letter


@pytest.mark.parametrize(
    "prediction",
    [
        "A. osmosis\nB. diffusion\nC. transport\nD. endocytosis",
        "", " ", ".", "B or C", "B and C", "Both B and C", "B C", "B, C", "AB", "ABCD", "Bob",
        "It could be A or B.", "Either (A) or (C) is right", "All of A, B and C",
        "I'm not sure between B and C.", "not B", "B is wrong", "The answer is not B",
        "neither A nor B", "Options A and B are wrong", "It is not diffusion.",
        "The answer is neither osmosis nor diffusion.", "Diffusion or osmosis",
        "I cannot see the picture.", "I am unable to determine the answer.", "The answer is",
        "The answer is unclear.", "None of the above", "answer", "because", "E", "The answer is E",
        "A close look at the picture shows a cell.", "a cell", "The answer is a cell membrane",
        "A red bus", "a.m.", "A.M.", "e.g. water", "d'accord", "D'Artagnan", "C++", "3D",
        "It's 20 C outside", "Q = C V", "The graph of V = A t + B is a line.", "Type A blood",
        "\u7ef4\u751f\u7d20C", "B\u578b\u8840", "It is the choice a person makes",
        "Vitamin A is needed.", "The cell in Fig. B takes in water", "The U.S. is a country",
    ],
)  # fmt: skip
def test_what_states_no_letter_is_not_read(prediction: str) -> None:
    assert read_letter(prediction, CELL) is None


@pytest.mark.parametrize(
    "prediction",
    [
        "C. A red sports car", "A red sports car", "**C**", "The answer is A red sports car.",
        "A red sports car is shown.", "It shows a red sports car on a road.", "red sports car",
        "The answer is the red sports car.",
    ],
)  # fmt: skip
def test_an_article_is_no_option_a(prediction: str) -> None:
    assert read_letter(prediction, ARTICLES) == "C"


def test_an_article_before_an_options_own_text() -> None:
    assert read_letter("A cat", ["cat", "dog"]) == "A"
    assert read_letter("A dog", ["cat", "dog"]) == "B"
    assert read_letter("A dog", ["a cat", "a dog"]) == "B"


@pytest.mark.parametrize(
    ("prediction", "options", "letter"),
    [
        ("the animal in the picture is a cat", ANIMALS, "B"),
        ("cat", ANIMALS, "B"),
        ("The process is transport, not osmosis.", CELL, "C"),
        ("Osmosis is wrong; it is diffusion.", CELL, "B"),
        # The longer text where one holds the other, and whole words and numbers.
        ("It is the pulmonary artery pressure.", ["artery", "pulmonary artery pressure"], "B"),
        ("There are 25 of them.", ["5", "2", "25"], "C"),
        ("It weighs 2.5 kg", ["5 kg", "2.5 kg"], "B"),
        ("It costs $5", ["5", "$5"], "B"),
        ("It rose by 5%", ["5", "5%"], "B"),
        ("concatenation", ["cat", "dog"], None),
        # Letters within a text are its own.
        ("The answer is Vitamin C.", ["Vitamin A", "Vitamin C", "Vitamin D"], "B"),
        ("A and B only", ["A only", "B only", "A and B only"], "C"),
        ("D major", ["C major", "D major", "E minor"], "B"),
        # Equal texts: the first. Empty ones are never named.
        ("dog", ["cat", "dog", "dog"], "B"),
        ("cat", ["", "cat"], "B"),
        ("", ["", "cat"], None),
    ],
)
def test_an_options_text_is_read_too(
    prediction: str, options: list[str], letter: str | None
) -> None:
    assert read_letter(prediction, options) == letter


def test_options_that_are_letters_are_chosen_by_the_letter_before_them() -> None:
    options = ["L sin", "L cos", "L", "L tan"]
    assert [read_letter(text, options) for text in ("A", "A. L sin", "C. L", "L", "B")] == [
        "A", "A", "C", "C", "B",
    ]  # fmt: skip
    assert read_letter("B", ["B", "A"]) == "B"
    assert read_letter("I", ["II", "I"]) == "B"


def test_long_talk_before_an_answer() -> None:
    for talk in ("the answer is unclear, ", "((", "answer ", "not ", r"\boxed{", "B or C, "):
        assert read_letter(f"{talk * 1000}\nSo the answer is B.", CELL) == "B"
