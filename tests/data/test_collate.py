"""Batches: padding on the left, and an image that several questions are about is there once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.molmo_models import prompt, row_of, small_engine
from tierexp.data.plan import plan_evaluation
from tierexp.data.prepare import PreparedRow, SamplePreparer
from tierexp.data.tierqa import TierQA
from tierexp.imaging.preprocess import PreprocessedImage, preprocess
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.crop_inputs import CropRow, collate_crops
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry

PAD = 99


def row(image: PreprocessedImage, length: int) -> CropRow:
    positions = np.array([[1, 2, -100, 3]] * len(image.patch_mask))
    return CropRow(image, np.arange(length) + 10, positions)


def picture(value: int, crops: int = 1) -> PreprocessedImage:
    """Of one colour and, so that masks are told apart, masked with the same number."""
    image = np.full((60, 80, 3), value, np.uint8)
    geometry = CropGeometry(56, 14, (1, 1))
    prepared = preprocess(image, (1, crops), Resize("stretch", "stretch"), geometry)
    return dataclasses.replace(prepared, patch_mask=prepared.patch_mask * value)


def test_prompts_are_padded_on_the_left() -> None:
    inputs = collate_crops([row(picture(1), 5), row(picture(2), 7)], PAD)
    assert inputs.input_ids.tolist() == [[PAD, PAD, 10, 11, 12, 13, 14], [*range(10, 17)]]
    assert inputs.attention_mask.tolist() == [[False] * 2 + [True] * 5, [True] * 7]
    assert inputs.image_input_idx[0].tolist() == [[3, 4, -100, 5]] * 2
    assert inputs.image_input_idx[1].tolist() == [[1, 2, -100, 3]] * 2


def test_a_shared_image_is_there_once() -> None:
    first, second = picture(1), picture(2)
    rows = [row(first, 5), row(second, 5), row(first, 6), row(second, 5), row(picture(1), 5)]
    inputs = collate_crops(rows, PAD)
    assert inputs.image_index.tolist() == [0, 1, 0, 1, 2]
    assert inputs.pixels[:, 0, 0, 0, 0].tolist() == [1, 2, 1]
    assert inputs.patch_mask[:, 0, 0].tolist() == [1, 2, 1]


def test_rows_of_different_crop_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        collate_crops([row(picture(1), 5), row(picture(1, crops=2), 5)], PAD)


def test_questions_about_one_image_are_prepared_from_one() -> None:
    source, dataset = MolmoCheckpoint(str(_tiny())), TierQA("test", max_samples=12)
    preprocessing = Preprocessing(load_tier("low"), geometry=source.geometry)
    plan = plan_evaluation(dataset, preprocessing, 12)
    builder = source.inputs()
    preparer = SamplePreparer(dataset, plan, preprocessing, builder)
    rows = [preparer[index] for index in range(6)]
    assert all(isinstance(item, PreparedRow) for item in rows)
    inputs = builder.collate([item.inputs for item in rows if isinstance(item, PreparedRow)])
    assert inputs.input_ids.shape[0] == 6
    assert inputs.pixels.shape[0] == 1


def test_a_shared_image_is_encoded_once_and_answers_are_the_same() -> None:
    model, inputs = small_engine("mixture"), prompt([9, 12, 14])
    # The second question is about the first image.
    index = torch.tensor([0, 0, 1])
    shared = dataclasses.replace(
        inputs, pixels=inputs.pixels[::2], patch_mask=inputs.patch_mask[::2], image_index=index
    )
    encoded = []
    model.network.vision_backbone.register_forward_pre_hook(
        lambda _, given: encoded.append(len(given[0]))
    )
    together = model.generate(shared, 6)
    assert encoded == [2]
    for number in range(3):
        alone: ModelInputs = row_of(shared, number)
        assert torch.equal(model.generate(alone, 6)[0], together[number])


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (0, 2), (0, 3), (2, 5), (3, 4), (4, 5)])
def test_a_part_of_a_batch_is_what_collating_its_rows_gives(start: int, stop: int) -> None:
    """Less padding, and only the images that its prompts are about."""
    first, second, third = picture(1), picture(2), picture(3)
    images, lengths = [first, first, second, second, third], [5, 9, 6, 12, 7]
    rows = [row(image, length) for image, length in zip(images, lengths, strict=True)]
    part = collate_crops(rows, PAD).select(range(start, stop))
    expected = collate_crops(rows[start:stop], PAD)
    for field in dataclasses.fields(ModelInputs):
        assert torch.equal(getattr(part, field.name), getattr(expected, field.name)), field.name


def test_parts_of_a_batch_whose_images_are_in_any_order() -> None:
    """An image between those of a part may come with it; what its prompts see is right."""
    pictures = [picture(value) for value in range(3)]
    rows = [row(pictures[value], 5 + value) for value in (0, 1, 2, 0, 1)]
    inputs = collate_crops(rows, PAD)
    for start in range(5):
        for stop in range(start + 1, 6):
            part, alone = inputs.select(range(start, stop)), collate_crops(rows[start:stop], PAD)
            assert torch.equal(part.pixels[part.image_index], alone.pixels[alone.image_index])
            assert torch.equal(part.input_ids, alone.input_ids)


@pytest.mark.parametrize("kind", ["dense", "mixture", "olmo"])
def test_a_molmo_answers_parts_of_a_batch_as_the_whole(kind: str) -> None:
    model, inputs = small_engine(kind), prompt([9, 12, 14, 10])
    inputs = dataclasses.replace(
        inputs,
        pixels=inputs.pixels[:2],
        patch_mask=inputs.patch_mask[:2],
        image_index=torch.tensor([0, 0, 0, 1]),
    )
    together = model.generate(inputs, 6)
    assert len({tuple(answer) for answer in together.tolist()}) > 1
    for half in (range(2), range(2, 4)):
        part = model.generate(inputs.select(half), 6)
        assert torch.equal(part, together[half.start : half.stop])


def _tiny() -> Any:
    from tierexp.config.location import config_dir

    return config_dir().parent / "src" / "tierexp" / "assets" / "tiny"
