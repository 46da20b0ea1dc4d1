"""Families without an option of their own, by `model=transformers`: what reaches the model, the
answers, and FLOPs, also with blocks left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tests.support import random_checkpoints as checkpoints
from tests.support.flop_counter import Counter
from tierexp.models.plans.preprocessing import SizedImage
from tierexp.models.transformers_family.inputs import FamilyInputBuilder, FamilyInputs, FamilyRow
from tierexp.models.transformers_family.model import FamilyModel
from tierexp.models.transformers_family.source import FamilyCheckpoint

FAMILIES: dict[str, tuple[Callable[[Path], None], str, str, tuple[int, int]]] = {
    # Writer, image processor, what stands for an image in a prompt, (height, width) of an image.
    "qwen2_vl": (
        checkpoints.qwen2_vl, "qwen2_vl.Qwen2VLImageProcessorPil", "<vs><image><ve>", (280, 364),
    ),
    "qwen2_5_vl": (
        checkpoints.qwen2_5_vl, "qwen2_vl.Qwen2VLImageProcessorPil", "<vs><image><ve>", (280, 364),
    ),
    "idefics3": (
        checkpoints.idefics3, "idefics3.Idefics3ImageProcessorPil", "<image>", (364, 1456),
    ),
    "llava_next": (
        checkpoints.llava_next, "llava_next.LlavaNextImageProcessorPil", "<image>", (336, 672),
    ),
    "aya": (checkpoints.aya_vision, "got_ocr2.GotOcr2ImageProcessorPil", "<image>", (364, 728)),
}  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def source(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilyCheckpoint:
    folder = tmp_path_factory.mktemp(request.param) / "checkpoint"
    FAMILIES[request.param][0](folder)
    made = FamilyCheckpoint(str(folder), request.param)
    assert made.preset.family == request.param  # by the folder alone
    return made


@pytest.fixture(scope="module")
def model(source: FamilyCheckpoint) -> FamilyModel:
    made = source.load(torch.device("cpu"))
    assert isinstance(made, FamilyModel)
    return made


def noise(source: FamilyCheckpoint) -> SizedImage:
    height, width = FAMILIES[source.name][3]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plan = source.preset.geometry.plan(height, width)
    return SizedImage(pixels, (), plan.vision_tokens, plan.marks, 1.0)


def batch(source: FamilyCheckpoint, *questions: str) -> FamilyInputs:
    builder = source.inputs()
    assert isinstance(builder, FamilyInputBuilder)
    return builder.collate([FamilyRow(noise(source), question) for question in questions])


def reference(source: FamilyCheckpoint, *questions: str) -> dict[str, torch.Tensor]:
    """By a processor put together here."""
    _, images, marked, _ = FAMILIES[source.name]
    settings = json.loads((source.folder / "processor_config.json").read_text())
    stored = json.loads((source.folder / "preprocessor_config.json").read_text())
    del stored["image_processor_type"]
    module, name = images.split(".")
    kind = getattr(
        import_module(f"transformers.models.{module}.image_processing_pil_{module}"), name
    )
    processor = getattr(transformers, settings.pop("processor_class"))
    parts: dict[str, Any] = {
        "image_processor": kind(**stored),
        "tokenizer": transformers.AutoTokenizer.from_pretrained(source.folder, padding_side="left"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "check_argument_for_proper_class", lambda *_: None)
        if source.name.startswith("qwen"):
            parts["video_processor"] = None
        made = processor(**parts, **settings)
        output = made(
            images=[[Image.fromarray(noise(source).pixels)] for _ in questions],
            text=[f"<turn>user:{marked}{asked}<eos><turn>assistant:" for asked in questions],
            padding=True,
            return_tensors="pt",
        )
    return {key: value for key, value in output.items() if isinstance(value, torch.Tensor)}


@pytest.mark.whole
def test_a_family_answers(source: FamilyCheckpoint, model: FamilyModel) -> None:
    questions = ["what is it?", "a longer question about it?"]
    inputs = batch(source, *questions)
    expected = reference(source, *questions)
    (part,) = inputs.parts
    assert part.tensors.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(part.tensors[key], tensor), key
    answers = model.generate(inputs, 4)
    again = model.network.generate(**expected, max_new_tokens=4, do_sample=False)
    again = again[:, expected["input_ids"].shape[1] :]
    assert torch.equal(answers, again.masked_fill(again == model.end_ids[0], model.end_ids[0]))


@pytest.mark.whole
def test_operations_are_those_that_torch_counts(
    source: FamilyCheckpoint, model: FamilyModel
) -> None:
    inputs = batch(source, "what?")
    for blocks in (range(3), (0, 2)):
        model.run_blocks(blocks)
        assert model.num_active_blocks == len(blocks)
        counter = Counter()
        model.generate(inputs, 3, clock=counter, fixed_length=True)
        estimated = model.stage_flops(inputs, 3)
        assert counter.flops.keys() == {"vision", "prefill", "decode"}
        for stage, counted in counter.flops.items():
            assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage
    model.run_blocks(range(3))
