"""Prompts, answers, and the tokenizer of a model that is trained from nothing."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from tierexp.errors import CheckpointError
from tierexp.models.molmo.tokenizer import ImageTokenIds, PromptTokenizer
from tierexp.models.molmo.tokenizer_training import train_tokenizer

VOCAB_SIZE = 320
EMBEDDED = VOCAB_SIZE + 5
"""Ids that a model of the tests can look up: of text, and of five more tokens."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tokenizer.json"
    texts = ["What is the code in the red box?", "What is the color of the box?", "K7D", "K7D"]
    train_tokenizer(texts * 5, VOCAB_SIZE, file)
    return file


@pytest.fixture
def tokenizer(path: Path) -> PromptTokenizer:
    return PromptTokenizer.from_file(path, EMBEDDED)


def pieces(path: Path, ids: list[int]) -> list[str]:
    raw = Tokenizer.from_file(str(path))
    return [raw.decode([token], skip_special_tokens=False) for token in ids]


def test_a_prompt_is_a_question_between_its_roles(path: Path, tokenizer: PromptTokenizer) -> None:
    ids = tokenizer.encode_prompt("What is the code?")
    assert "".join(pieces(path, ids)) == " User: What is the code? Assistant:"
    assert " the" in pieces(path, ids)


@pytest.mark.parametrize("code", ["K7D", "A", "2024", "ZZ99"])
def test_a_code_is_a_space_and_a_token_for_each_character(
    path: Path, tokenizer: PromptTokenizer, code: str
) -> None:
    assert pieces(path, tokenizer.encode_answer(code)) == [" ", *code]


@pytest.mark.parametrize("text", ["K7D", "red", "naïve 漢字 🙂", "a\nb"])
def test_any_answer_survives(tokenizer: PromptTokenizer, text: str) -> None:
    ids = tokenizer.encode_answer(text)
    assert all(token < VOCAB_SIZE for token in ids)
    assert tokenizer.decode(ids) == text


def test_decoding_stops_at_the_end_of_text(tokenizer: PromptTokenizer) -> None:
    ids = tokenizer.encode_answer("red")
    assert tokenizer.decode([*ids, tokenizer.eos_id, *ids]) == "red"
    assert tokenizer.decode([tokenizer.eos_id]) == ""


def test_special_ids(path: Path, tokenizer: PromptTokenizer) -> None:
    assert tokenizer.image_tokens == ImageTokenIds(320, 321, 322, 323)
    raw = Tokenizer.from_file(str(path))
    names = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>")
    assert [raw.token_to_id(name) for name in names] == [320, 321, 322, 323]
    assert raw.token_to_id("<|endoftext|>") == tokenizer.eos_id < VOCAB_SIZE
    assert tokenizer.before_image == [tokenizer.eos_id]


def test_a_question_cannot_smuggle_in_special_tokens(tokenizer: PromptTokenizer) -> None:
    ids = tokenizer.encode_prompt("<im_patch><|endoftext|>")
    assert max(ids) < VOCAB_SIZE
    assert tokenizer.eos_id not in ids


def test_it_travels_to_worker_processes(tokenizer: PromptTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    question = "What is <im_patch>?"
    assert copy.encode_prompt(question) == tokenizer.encode_prompt(question)


def test_an_id_that_the_model_cannot_look_up_is_refused(path: Path) -> None:
    PromptTokenizer.from_file(path, VOCAB_SIZE + 4)
    with pytest.raises(CheckpointError, match=r"'<im_col>' at 323.* embeddings end at 322"):
        PromptTokenizer.from_file(path, VOCAB_SIZE + 3)


def test_the_image_tokens_are_where_the_tokenizer_has_them(path: Path) -> None:
    """In no order, before ids of text and after; a model looks up any."""
    values = json.loads(path.read_text())
    moved = {"<im_start>": 330, "<im_end>": 324, "<im_patch>": 350, "<im_col>": 326}
    for token in values["added_tokens"]:
        token["id"] = moved.get(token["content"], token["id"])
    values["added_tokens"].sort(key=lambda token: token["id"])
    # Ids of added tokens are read from the vocabulary, and counted on from it where it lacks them.
    values["model"]["vocab"] |= moved
    path.write_text(json.dumps(values))
    read = PromptTokenizer.from_file(path, 351)
    assert read.image_tokens == ImageTokenIds(**{k.strip("<>"): v for k, v in moved.items()})


@pytest.mark.parametrize("missing", ["<|endoftext|>", "<im_start>", "<im_patch>", "<im_col>"])
def test_a_tokenizer_without_a_special_token_is_refused(tmp_path: Path, missing: str) -> None:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokens = ["<|endoftext|>", "<im_start>", "<im_end>", "<im_patch>", "<im_col>"]
    raw.add_special_tokens([AddedToken(token) for token in tokens if token != missing])
    raw.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=re.escape(f"has no {missing}")):
        PromptTokenizer.from_file(tmp_path / "tokenizer.json", EMBEDDED)


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        PromptTokenizer.from_file(tmp_path / "tokenizer.json", EMBEDDED)


def test_a_vocabulary_holds_at_least_all_bytes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too small"):
        train_tokenizer(["a"], 256, tmp_path / "tokenizer.json")
