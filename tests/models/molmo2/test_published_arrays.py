"""`tierexp.Preprocessor` of a Molmo2 against `transformers`' own processor, array by array."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import Molmo2Processor, PreTrainedTokenizerFast
from transformers.models.molmo2.image_processing_molmo2 import Molmo2ImageProcessor

import tierexp
from tests.support.molmo2_models import (
    TEMPLATE,
    formula_image,
    write_checkpoint,
    write_settings,
    write_tokenizer,
)
from tierexp.errors import TierexpError
from tierexp.models.molmo2.pooled_canvas import PooledCanvas
from tierexp.models.molmo2.prompt import Molmo2ImageTokens
from tierexp.models.molmo2.published_arrays import Molmo2Published
from tierexp.models.molmo2.settings import Molmo2Settings
from tierexp.tiers.native import select_tiling

GOLDEN = Path(__file__).parents[2] / "golden" / "molmo2-images.npz"
HALF = (0.5, 0.5, 0.5)


class Images(Molmo2ImageProcessor):
    """The library's, torchvision's two functions in torch: it need not be there."""

    def __init__(self, max_crops: int) -> None:
        self.most = max_crops

    def resize(self, image: torch.Tensor, size: Any, **_: Any) -> torch.Tensor:
        return interpolate(image, (size.height, size.width), mode="bilinear", align_corners=False)

    def rescale_and_normalize(self, image: torch.Tensor, *_: Any) -> torch.Tensor:
        """Fused, as the library's is: 255 times the mean and the deviation."""
        return (image.float() - 127.5) / 127.5

    def fetch_images(self, images: Any) -> Any:
        return images

    def __call__(self, images: Any, **_: Any) -> Any:
        rows = [torch.from_numpy(np.asarray(image)).permute(2, 0, 1) for image in images]
        return self._preprocess(
            rows, True, SimpleNamespace(height=70, width=70), 2, True, 1 / 255, True, HALF, HALF,
            True, self.most, [1, 1], 14, [2, 2], None, "pt",
        )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("molmo2")
    write_settings(path)
    write_tokenizer(path)
    return path


def of_library(folder: Path, image: Any, question: str, max_crops: int) -> Any:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Molmo2Processor, "check_argument_for_proper_class", lambda *_: None)
        processor = Molmo2Processor(
            Images(max_crops), tokenizer=tokenizer, chat_template=TEMPLATE,
            use_single_crop_col_tokens=False,
        )  # fmt: skip
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=TEMPLATE, add_generation_prompt=True,
        tokenize=False,
    )  # fmt: skip
    return processor(images=[image], text=text, return_tensors="pt")


def assert_same(made: dict[str, Any], expected: Any) -> None:
    assert list(made) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(made[name], tensor), name
        assert made[name].dtype == tensor.dtype, name


@pytest.mark.parametrize(("height", "width"), [(120, 200), (33, 400), (1, 1), (300, 70), (71, 71)])
def test_natively_it_is_the_librarys(folder: Path, height: int, width: int) -> None:
    image = formula_image(height, width)
    made = tierexp.Preprocessor(model=folder).process(image, "what is it?")
    assert_same(made, of_library(folder, image, "what is it?", 8))


def test_at_a_tier_it_is_the_librarys_of_an_image_that_gets_this_tiling(folder: Path) -> None:
    """An image of a canvas's size is not resized for it, and the library picks its tiling."""
    geometry = PooledCanvas(70, 14, (1, 1))
    for how, most in (({"tier": "medium"}, 8), ({"exact_num_crops": 5}, 5), ({"tier": "low"}, 3)):
        preprocessor = tierexp.Preprocessor(**how, model=folder)  # type: ignore[arg-type]
        tiling = preprocessor.select(120, 200).tiling
        image = formula_image(*geometry.canvas_size(tiling))
        assert preprocessor.select(*image.shape[:2]).tiling == tiling
        assert select_tiling(*image.shape[:2], most, geometry) == tiling
        assert_same(
            preprocessor.process(image, "where?"), of_library(folder, image, "where?", most)
        )


def test_the_number_of_crops_is_the_folders(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "processor_config.json").read_text())
    settings["image_processor"]["max_crops"] = 2
    (tmp_path / "processor_config.json").write_text(json.dumps(settings))
    image = formula_image(100, 200)
    made = tierexp.Preprocessor(model=tmp_path).process(image, "what?")
    assert_same(made, of_library(folder, image, "what?", 2))
    assert made["image_num_crops"].tolist() == [3]


@pytest.mark.parametrize(
    ("height", "width"), [(480, 640), (640, 480), (90, 600), (1000, 333), (378, 378)]
)
def test_windows_and_colours_at_the_released_sizes(height: int, width: int) -> None:
    """The numbers of the library on another machine; the windows in their order."""
    golden, geometry = np.load(GOLDEN), PooledCanvas(crop_size=378)
    settings = Molmo2Settings(geometry, 1, HALF, HALF, {}, True, False, True, 8)
    tokens = Molmo2ImageTokens(1, 2, 3, 4, 5, None)
    words: Any = SimpleNamespace(image_tokens=tokens, before_image=[], encode_prompt=lambda _: [])
    published = Molmo2Published(settings, words)
    tiling = select_tiling(height, width, 8, geometry)
    made = published.arrays(formula_image(height, width), tiling, published.resize(None), "")
    name = f"{height}x{width}"
    for array, stored in (("image_token_pooling", "pooling"), ("image_grids", "grid")):
        np.testing.assert_array_equal(made[array], golden[f"{name}_{stored}"])
        assert made[array].dtype == golden[f"{name}_{stored}"].dtype
    # Bit by bit, but for the level that a sum ending between two was tipped to elsewhere.
    pixels = made["pixel_values"].ravel()[::331]
    assert (pixels != golden[f"{name}_pixels"]).sum() <= 2


def test_no_tier_is_the_models_own_rule(tmp_path: Path) -> None:
    model = tierexp.load_model(write_checkpoint(tmp_path), device="cpu", max_new_tokens=1)
    answer = model.answer(formula_image(300, 900), "what?", tier=None)
    geometry = PooledCanvas(70, 14, (1, 1))
    assert answer.selection.tiling == select_tiling(300, 900, 8, geometry)
    assert answer.selection.tiling != select_tiling(300, 900, 12, geometry)


def test_another_family_has_no_published_preprocessor_here(tmp_path: Path) -> None:
    from tests.support import random_checkpoints

    random_checkpoints.qwen3_vl(tmp_path / "it")
    with pytest.raises(TierexpError, match="a Molmo or Molmo2"):
        tierexp.Preprocessor(model=tmp_path / "it")
