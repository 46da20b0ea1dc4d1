"""How a question is put, by family: texts as the published data formatters give them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.prompt_format import molmo_prompt
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.models.molmo.tokenizer_training import train_tokenizer
from tierexp.models.molmo2.prompt_format import molmo2_prompt
from tierexp.models.prompt_format import QuestionParts, plain_prompt

OPEN = QuestionParts("Which? ", style="vqa2")
LETTERED = QuestionParts("Which?", ("cat", "", "a dog"), style="a_okvqa_mc")
DIAGRAM = QuestionParts("Which?", ("A", "none", "F"), "unlettered", "ai2_diagram_no_letter")
IN_TEXT = QuestionParts("Which?\nA. cat\nB. dog", ("cat", "dog"), "in_text", "a_okvqa_mc")
BARE = QuestionParts("Which?")


@pytest.mark.parametrize(
    ("question", "molmo", "molmo2", "plain"),
    [
        (OPEN, "vqa2: Which? ", "vqa2: Which? ", "Which? "),
        (
            LETTERED,
            "a_okvqa_mc: Which?\nA: cat\nB: \nC: a dog\n",
            "Which?\nOnly return the correct answer option.\nA. cat\nB. \nC. a dog",
            "Which?\nA. cat\nB. \nC. a dog",
        ),
        (
            DIAGRAM,
            "ai2_diagram_no_letter: Which?\nA\nnone\nF\n",
            "Which?\nOnly return the correct answer option.\nA\nnone\nF",
            "Which?\nA\nnone\nF",
        ),
        (
            IN_TEXT,
            "a_okvqa_mc: Which?\nA. cat\nB. dog",
            "Which?\nA. cat\nB. dog",
            "Which?\nA. cat\nB. dog",
        ),
        (BARE, "Which?", "Which?", "Which?"),
    ],
)
def test_each_family_is_asked_as_it_was_trained(
    question: QuestionParts, molmo: str, molmo2: str, plain: str
) -> None:
    assert molmo_prompt(question) == molmo
    assert molmo2_prompt(question) == molmo2
    assert plain_prompt(question) == plain


def test_molmo2_names_no_style_of_conversations() -> None:
    question = QuestionParts("How many cats?", style="point_count")
    assert molmo2_prompt(question) == "How many cats?"
    assert molmo_prompt(question) == "point_count: How many cats?"


def test_there_are_26_letters() -> None:
    assert molmo_prompt(QuestionParts("?", ("x",) * 26)).endswith("Z: x\n")
    with pytest.raises(ValueError, match="at most 26 options"):
        QuestionParts("?", ("x",) * 27)


def test_a_trailing_blank_is_part_of_the_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    train_tokenizer(["Which box is red?"] * 5, 320, file)
    tokenizer, raw = PromptTokenizer.from_file(file, 324), Tokenizer.from_file(str(file))
    for text in ("Which? ", "Which?", " Which?\n"):
        ids = tokenizer.encode_prompt(molmo_prompt(QuestionParts(text, style="vqa2")))
        assert raw.decode(ids) == f" User: vqa2: {text} Assistant:"


def test_sources_say_how_they_are_asked() -> None:
    checkpoint = str(files("tierexp") / "assets" / "tiny")
    assert MolmoCheckpoint(checkpoint=checkpoint).prompt_format is molmo_prompt
