"""The drop-in for the published preprocessor: its arrays at a tier, a count, or its own rule."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

import tierexp
from tests.support.command_line import TESTS
from tests.support.molmo2_models import formula_image
from tierexp.errors import ConfigError, DataError, TierexpError

TINY = TESTS.parent / "src" / "tierexp" / "assets" / "tiny"
PHOTO = formula_image(480, 640)


def test_each_way_of_choosing_gives_its_crops() -> None:
    crops = {
        "native": len(tierexp.Preprocessor()(PHOTO, "What?")["images"]) - 1,
        "medium": len(tierexp.Preprocessor(tier="medium")(PHOTO, "What?")["images"]) - 1,
        "exact": len(tierexp.Preprocessor(exact_num_crops=5)(PHOTO, "What?")["images"]) - 1,
        "two": len(tierexp.Preprocessor(max_crops=2)(PHOTO, "What?")["images"]) - 1,
    }
    rows, cols = tierexp.select_tiling(480, 640, 12)
    assert crops == {"native": rows * cols, "medium": 6, "exact": 5, "two": 2}


def test_the_sequence_is_image_then_prompt() -> None:
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    prompt = tokenizer.encode(" User: What is it? Assistant:", add_special_tokens=False).ids
    arrays = tierexp.Preprocessor(tier="medium")(PHOTO, "What is it?")
    ids = arrays["input_ids"].tolist()
    patch = tokenizer.token_to_id("<im_patch>")
    assert ids[0] == tokenizer.token_to_id("<|endoftext|>")
    assert ids[-len(prompt) :] == prompt
    assert ids.count(patch) == 144 + 20 * 28  # the global view, and the canvas of (2, 3)
    places = arrays["image_input_idx"][arrays["image_input_idx"] >= 0]
    assert all(ids[place] == patch for place in places)


def test_a_path_a_picture_and_an_array_are_the_same(tmp_path: Path) -> None:
    picture = Image.fromarray(PHOTO)
    picture.save(tmp_path / "photo.png")
    preprocessor = tierexp.Preprocessor(tier="low", ids_name="input_tokens")
    data = io.BytesIO()
    picture.save(data, "PNG")
    expected = preprocessor(PHOTO, "What?")
    assert list(expected) == ["input_tokens", "images", "image_input_idx", "image_masks"]
    for image in (str(tmp_path / "photo.png"), tmp_path / "photo.png", picture, data.getvalue()):
        arrays = preprocessor(image, "What?")
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array)


def test_process_gives_tensors_as_the_published_one_does() -> None:
    preprocessor = tierexp.Preprocessor(exact_num_crops=2)
    tensors = preprocessor.process(images=[Image.fromarray(PHOTO)], text="What?")
    for name, array in preprocessor(PHOTO, "What?").items():
        assert torch.equal(tensors[name], torch.from_numpy(array))
    with pytest.raises(DataError, match="2 images"):
        preprocessor.process(images=[PHOTO, PHOTO], text="What?")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tier": "medum"}, "medum"),
        ({"tier": "low", "exact_num_crops": 2}, "exact_num_crops"),
        ({"exact_num_crops": 0}, "exact_num_crops"),
        ({"max_crops": 0}, "max_crops"),
        ({"model": "nobody"}, "nobody"),
        ({"ids_name": "tokens"}, "ids_name"),
    ],
)
def test_mistakes_are_one_line(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(TierexpError) as caught:
        tierexp.Preprocessor(**arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match="array"):
        tierexp.Preprocessor(tier="low")(image, "What?")


def test_a_threshold_reaches_the_selection() -> None:
    strict = tierexp.Preprocessor(tier="low", threshold=tierexp.Threshold(0.0))
    assert strict.select(600, 600).crops == 1
    assert tierexp.Preprocessor(tier="low").select(600, 1200).crops == 2
    with pytest.raises(ConfigError):
        tierexp.Threshold(-1)
