"""Prompts, answers, and the tokenizer of a model that is trained from nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tierexp.errors import CheckpointError
from tierexp.models.text import ImageTokenIds, PromptTokenizer
from tierexp.models.tokenizer_training import train_tokenizer

VOCAB_SIZE = 320


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tokenizer.json"
    texts = ["What is the code in the red box?", "What is the color of the box?", "K7D", "K7D"]
    train_tokenizer(texts * 5, VOCAB_SIZE, file)
    return file


@pytest.fixture
def tokenizer(path: Path) -> PromptTokenizer:
    return PromptTokenizer.from_file(path, VOCAB_SIZE)


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


def test_a_tokenizer_of_another_model_is_refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="<im_start> at 320"):
        PromptTokenizer.from_file(path, VOCAB_SIZE + 1)


def test_a_tokenizer_without_an_end_of_text_is_refused(tmp_path: Path) -> None:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel()
    raw.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="endoftext"):
        PromptTokenizer.from_file(tmp_path / "tokenizer.json", VOCAB_SIZE)


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        PromptTokenizer.from_file(tmp_path / "tokenizer.json", VOCAB_SIZE)


def test_a_vocabulary_holds_at_least_all_bytes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too small"):
        train_tokenizer(["a"], 256, tmp_path / "tokenizer.json")
