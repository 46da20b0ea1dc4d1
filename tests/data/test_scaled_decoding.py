"""Photos decoded at a fraction of their size: the same figures, nearly the same pixels."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import LetterTokenizer
from tierexp.data import folder
from tierexp.data.folder import FolderDataset
from tierexp.data.plan import plan_evaluation
from tierexp.data.prepare import PreparedRow, SamplePreparer
from tierexp.imaging.decode import decode_image
from tierexp.imaging.preprocess import needed_size, preprocess
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.crop_inputs import CropInputs
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.tier import Tier

GEOMETRY = CropGeometry()
MODES = ("fill", "letterbox", "stretch")


def photo(height: int, width: int) -> bytes:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (5, 6, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.mark.parametrize("size", [(1400, 2101), (1601, 1203), (700, 2600)])
def test_figures_are_those_of_the_whole_picture(size: tuple[int, int]) -> None:
    file = photo(*size)
    whole = decode_image(file)
    for tiling, mode, exact in itertools.product([(1, 1), (2, 2), (1, 3)], MODES, [False, True]):
        resize = Resize(crops=mode, exact=exact)
        needed = needed_size(size, tiling, resize, GEOMETRY)
        smaller = decode_image(file, least=needed)
        assert smaller.shape[0] >= needed[0]
        assert smaller.shape[1] >= needed[1]
        exactly = preprocess(whole, tiling, resize, GEOMETRY)
        scaled = preprocess(smaller, tiling, resize, GEOMETRY, image_size=size)
        assert scaled.placement == exactly.placement
        assert scaled.view_placement == exactly.view_placement
        assert scaled.content_kept == exactly.content_kept
        assert scaled.actual_vision_tokens == exactly.actual_vision_tokens
        np.testing.assert_array_equal(scaled.patch_mask, exactly.patch_mask)
        for theirs, ours in zip(exactly.views, scaled.views, strict=True):
            assert theirs.shape == ours.shape
            difference = np.abs(theirs.astype(float) - ours) * (255 if exact else 1)
            assert difference.mean() < 1.0  # of 255, on a picture that is smooth


def test_what_is_needed_is_the_larger_of_canvas_and_view() -> None:
    """The canvas of 2 x 3 crops is larger than the view on both sides."""
    canvas = GEOMETRY.canvas_size((2, 3))
    assert needed_size((4000, 3000), (2, 3), Resize(crops="stretch"), GEOMETRY) == canvas
    side = GEOMETRY.crop_size
    # Filling one crop with a picture three times as wide leaves its height at the crop's.
    assert needed_size((1000, 3000), (1, 1), Resize(), GEOMETRY) == (side, 3 * side)


@pytest.mark.parametrize(("decode", "wanted"), [("exact", None), ("scaled", (336, 504))])
def test_the_data_set_is_asked_for_what_is_needed(
    tmp_path: Path, decode: str, wanted: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(1000, 1500))
    fields = {"id": "a", "image": "a.jpg", "question": "q", "answers": ["b"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(fields))
    asked = []

    def watched(source: Path, least: tuple[int, int] | None = None) -> np.ndarray:
        asked.append(least)
        return decode_image(source, least=least)

    monkeypatch.setattr(folder, "decode_image", watched)
    dataset = FolderDataset(tmp_path / "q.jsonl", decode=decode)
    how = Preprocessing(tier=Tier("one", 1, 1, (1,), 288, ""))
    plan = plan_evaluation(dataset, how, 1)
    preparer = SamplePreparer(dataset, plan, how, CropInputs(LetterTokenizer()))
    row = preparer[0]
    assert isinstance(row, PreparedRow)
    assert row.prepared.image_size == (1000, 1500)
    assert asked == [wanted]


def test_a_family_that_wants_whole_pictures_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(1000, 1500))
    fields = {"id": "a", "image": "a.jpg", "question": "q", "answers": ["b"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(fields))
    shapes = []

    class WholePictures:
        """Another family's builder."""

        def image(self, pixels, tiling, preprocessing):
            shapes.append(pixels.shape)
            return CropInputs(LetterTokenizer()).image(pixels, tiling, preprocessing)

        def row(self, image, tiling, geometry, question):
            return CropInputs(LetterTokenizer()).row(image, tiling, geometry, question)

    dataset = FolderDataset(tmp_path / "q.jsonl", decode="scaled")
    how = Preprocessing(tier=Tier("one", 1, 1, (1,), 288, ""))
    plan = plan_evaluation(dataset, how, 1)
    assert isinstance(SamplePreparer(dataset, plan, how, WholePictures())[0], PreparedRow)
    assert shapes == [(1000, 1500, 3)]
