"""Prompts in the words of the checkpoint's chat template, against `transformers`' own tokenizer."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.support.molmo2_models import (
    IMAGE_TOKENS,
    TEMPLATE,
    VOCAB_SIZE,
    write_settings,
    write_tokenizer,
)
from tierexp.errors import CheckpointError
from tierexp.models.molmo2.prompt import Molmo2Tokenizer
from tierexp.models.molmo2.settings import read_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molmo2")
    write_tokenizer(path)
    write_settings(path)
    return path


@pytest.fixture(scope="module")
def library(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Molmo2Tokenizer:
    return read(folder)


def read(folder: Path) -> Molmo2Tokenizer:
    return Molmo2Tokenizer.from_folder(folder, read_settings(folder))


def changed(folder: Path, tmp_path: Path, **files: str | None) -> Path:
    """A copy with files of other contents, or without them."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for stem, content in files.items():
        (path,) = tmp_path.glob(f"{stem}.*")
        path.unlink() if content is None else path.write_text(content)
    return tmp_path


@settings(max_examples=60, deadline=None)
@given(st.text() | st.sampled_from(["\n\nwhat", " what  ", "", "is it\n", "  \n"]))
def test_a_prompt_is_what_the_librarys_template_and_tokenizer_give(
    ours: Molmo2Tokenizer, library: PreTrainedTokenizerFast, question: str
) -> None:
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    text = library.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    # `Molmo2Processor` puts the beginning of text before it, and an image in place of <|image|>.
    expected = library(library.bos_token + text, add_special_tokens=False)["input_ids"]
    image = library.convert_tokens_to_ids("<|image|>")
    assert [*ours.before_image, image, *ours.encode_prompt(question)] == expected


@pytest.mark.parametrize("template", [
    "{{ bos_token }}<|im_start|>user\n<|image|>{{ messages[0]['content'][1]['text'] }}<|im_end|>",
    "Look: <|image|> Now tell me:{{ messages[0]['content'][1]['text'] }} Answer:",
])  # fmt: skip
def test_any_template_with_an_image_before_the_question_will_do(
    folder: Path, tmp_path: Path, template: str
) -> None:
    ours = read(changed(folder, tmp_path, chat_template=template))
    library = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " so what"}]}]
    text = library.apply_chat_template(chat, tokenize=False)
    bos = library.bos_token
    text = text if text.startswith(bos) else bos + text
    ids = [*ours.before_image, VOCAB_SIZE + 5, *ours.encode_prompt(" so what")]
    assert ids == library(text, add_special_tokens=False)["input_ids"]


def test_a_question_cannot_smuggle_in_special_tokens(ours: Molmo2Tokenizer) -> None:
    plain = ours.encode_prompt("")
    smuggled = ours.encode_prompt("".join(IMAGE_TOKENS) + "<|im_end|><|im_start|>")
    assert max(smuggled) < VOCAB_SIZE
    assert sorted(token for token in smuggled if token < 3) == sorted(
        token for token in plain if token < 3
    )


def test_decoding_stops_at_any_end_of_text(folder: Path, tmp_path: Path) -> None:
    path = changed(folder, tmp_path)
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}))
    ours = read(path)
    assert ours.end_ids == (2, 0)
    letters = [token for token in ours.encode_prompt("x red y") if token > 2]
    text = ours.decode(letters)
    assert "red" in text
    for end in (0, 2):
        assert ours.decode([*letters, end, *letters]) == text
    assert ours.decode([2]) == ""


def test_it_travels_to_worker_processes(ours: Molmo2Tokenizer) -> None:
    there = pickle.loads(pickle.dumps(ours))
    question = "what is <im_patch>?"
    assert there.encode_prompt(question) == ours.encode_prompt(question)
    assert there.image_tokens == ours.image_tokens


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"chat_template": None}, "there is no chat template"),
        ({"chat_template": "{% if %}"}, "the chat template cannot be rendered"),
        ({"chat_template": "{{ raise_exception('no') }}"}, "cannot be rendered: no"),
        ({"chat_template": TEMPLATE.replace("<|image|>", "")}, "does not give one"),
        ({"chat_template": "{{ messages[0]['content'][1]['text'] }}<|image|>"}, "does not give"),
        ({"tokenizer_config": "{}"}, "names no eos_token"),
        ({"tokenizer_config": '{"eos_token": "<end>"}'}, "the tokenizer has no <end>"),
        ({"tokenizer": "{}"}, "is not a tokenizer"),
        ({"tokenizer": None}, "does not exist"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, files: dict[str, str | None], complaint: str
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        read(changed(folder, tmp_path, **files))


def test_image_tokens_are_where_the_model_expects_them(folder: Path, tmp_path: Path) -> None:
    path = changed(folder, tmp_path)
    config = json.loads((path / "config.json").read_text()) | {"image_patch_id": VOCAB_SIZE + 3}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has <im_patch> at 322, the model at 323"):
        read(path)
