"""Families end to end, with random weights: what reaches the model is what the library's processor
makes of the image at its tier's size, and the answers are the library's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hydra import compose, initialize_config_dir
from PIL import Image
from transformers import AutoModelForImageTextToText

import tierexp
from tests.support import random_checkpoints as checkpoints
from tests.support.command_line import ARGUMENTS, TESTS, Outcome, run_eval
from tests.support.flop_counter import Counter
from tierexp.api.composition import model_and_resize
from tierexp.api.model import Answer, Model
from tierexp.config.location import config_dir
from tierexp.errors import TierexpError
from tierexp.evaluation.setup import read_setup
from tierexp.models.confidence import AnswerFacts, ConfidenceMeter
from tierexp.models.knobs.reduction.settings import StridedTokens
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import SizedImage
from tierexp.models.plans.registry import families, preset
from tierexp.models.plans.token_tiers import TierChoice, family_tier
from tierexp.models.stages import StageFlops
from tierexp.models.transformers_family.flops import Lengths, stage_flops
from tierexp.models.transformers_family.inputs import FamilyInputs, FamilyRow
from tierexp.models.transformers_family.model import FamilyModel
from tierexp.models.transformers_family.source import FamilyCheckpoint
from tierexp.results.files import load_results
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

FAMILIES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # Writer, tier, image processor.
    "internvl3_5": (checkpoints.internvl3_5, "medium", "got_ocr2.GotOcr2ImageProcessorPil"),
    "qwen3_vl": (checkpoints.qwen3_vl, "low", "qwen2_vl.Qwen2VLImageProcessorPil"),
    "smolvlm2": (checkpoints.smolvlm2, "low", "smolvlm.SmolVLMImageProcessorPil"),
    "llava_onevision": (
        checkpoints.llava_onevision, "high", "llava_onevision.LlavaOnevisionImageProcessorPil",
    ),
    "gemma3": (checkpoints.gemma3, "medium", "gemma3.Gemma3ImageProcessorPil"),
}  # fmt: skip
SAMPLES = [
    [[480, 640], "what is it?", ["x"], "read"],
    [[640, 480], "how many?", ["2"], "count"],
    [[480, 640], "a longer question about it?", ["y"], "read"],
]


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param) / "checkpoint"
    FAMILIES[request.param][0](folder)
    return request.param, folder


def run(name: str, checkpoint: Path, folder: Path, *arguments: str) -> Outcome:
    (folder / "samples.json").write_text(json.dumps(SAMPLES))
    return run_eval(
        "--config-dir", str(TESTS / "conf"), "data=plain", f"data.path={folder / 'samples.json'}",
        f"model={name}", f"model.checkpoint={checkpoint}", f"tier={FAMILIES[name][1]}",
        "model.max_new_tokens=4", f"output_dir={folder / 'out'}", *ARGUMENTS, *arguments,
    )  # fmt: skip


def evaluated(name: str, checkpoint: Path, folder: Path, *arguments: str) -> Any:
    outcome = run(name, checkpoint, folder, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = (folder / "out").glob("*_tier-*.json")
    return load_results(path)


@dataclass(frozen=True)
class Answered:
    """What Python's call answers.

    Args:
        model: That was asked.
        answers: One a sample.
        seen: Every batch, and its answers' tokens.
    """

    model: Model
    answers: list[Answer]
    seen: list[tuple[FamilyInputs, torch.Tensor]]


IMAGES: list[Any] = [np.full((*size, 3), 128, np.uint8) for size, *_ in SAMPLES]
QUESTIONS = [sample[1] for sample in SAMPLES]


@pytest.fixture(scope="module")
def answered(family: tuple[str, Path]) -> Answered:
    """Of a folder, nothing said of its family."""
    name, checkpoint = family
    model = tierexp.load_model(checkpoint, device="cpu", max_new_tokens=4)
    seen: list[Any] = []
    generate = FamilyModel.generate

    def watched(self: FamilyModel, inputs: Any, *rest: Any, **named: Any) -> Any:
        answers = generate(self, inputs, *rest, **named)
        seen.append((inputs, answers))
        return answers

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FamilyModel, "generate", watched)
        answers = model.answer(IMAGES, QUESTIONS, tier=FAMILIES[name][1])
    return Answered(model, answers, seen)


@pytest.mark.whole
def test_a_tier_is_kept_and_confidence_told(family: tuple[str, Path], answered: Answered) -> None:
    tier = FAMILIES[family[0]][1]
    low, high = {"low": (288, 576), "medium": (720, 1296), "high": (1440, 2304)}[tier]
    for answer in answered.answers:
        assert low <= answer.llm_vision_tokens <= high
        assert answer.confidence is not None
        assert answer.first_margin is not None
        assert answer.confidence <= 0
        assert 0 <= answer.first_margin <= 1
    plan = preset_of(answered.model).geometry.plan(480, 640)
    native = answered.model.answer(IMAGES[0], QUESTIONS[0], tier=None, max_new_tokens=1)
    assert (native.llm_vision_tokens, native.selection.tiling) == (plan.vision_tokens, plan.grid)


def preset_of(model: Model) -> Preset:
    assert isinstance(model.source, FamilyCheckpoint)
    return model.source.preset


@pytest.mark.whole
@pytest.mark.parametrize("family", ["internvl3_5", "qwen3_vl"], indirect=True)
def test_an_evaluation(family: tuple[str, Path], answered: Answered, tmp_path: Path) -> None:
    """Crops, and cells: what Python's call answers."""
    timed = ("latency=on", "latency.repeats=1", "latency.warmup=0")
    results = evaluated(*family, tmp_path, *timed)
    assert (results.num_samples, results.num_failed, results.num_active_blocks) == (3, 0, 3)
    samples = {sample.question: sample for sample in results.per_sample_results}
    for question, answer in zip(QUESTIONS, answered.answers, strict=True):
        sample = samples[question]
        assert answer.text == sample.prediction
        assert answer.selection.tiling == sample.selected_tiling
        assert answer.llm_vision_tokens == sample.metrics["llm_vision_tokens"]
        assert answer.confidence == pytest.approx(sample.metrics["confidence"], abs=1e-4)
        assert answer.first_margin == pytest.approx(sample.metrics["first_margin"], abs=1e-4)
        assert sample.latency is not None
        assert sample.latency.T_vision_total > 0
    assert results.latency.stages.keys() >= {"T_vision_total", "T_LLM_prefill", "T_total"}
    assert results.latency.flops_mean.keys() == {"flops_vision", "flops_prefill", "flops_decode"}


def test_the_option_of_its_name_reads_it(family: tuple[str, Path], answered: Answered) -> None:
    name, checkpoint = family
    source, _ = model_and_resize(name, {"checkpoint": str(checkpoint)})
    assert isinstance(source, FamilyCheckpoint)
    assert source.preset == preset_of(answered.model)


def test_what_no_family_reads_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(TierexpError, match=r"model_type aya_vision, gemma3, .*smolvlm, not bert$"):
        tierexp.load_model(tmp_path)
    checkpoints.gemma3(tmp_path / "gemma3")
    model = tierexp.load_model(tmp_path / "gemma3", device="cpu")
    grey = np.zeros((480, 640), np.uint8)
    with pytest.raises(TierexpError, match=r"tier='low' .* gemma3_pan_and_scan has no grid"):
        model.answer(grey, "what?", tier="low")
    with pytest.raises(TierexpError, match=r"resize\.crops='letterbox'"):
        model.answer(grey, "what?", tier="medium", resize="letterbox")


@pytest.mark.whole
def test_what_reaches_the_model_is_the_processor_s(
    family: tuple[str, Path], answered: Answered
) -> None:
    """Tensor by tensor, of a processor put together here; the answers are the library's."""
    name, checkpoint = family
    processor = reference_processor(checkpoint, FAMILIES[name][2])
    sizes = dict(zip(QUESTIONS, planned(name, FAMILIES[name][1]), strict=True))
    model = answered.model._model
    assert isinstance(model, FamilyModel)
    assert sum(len(inputs) for inputs, _ in answered.seen) == 3
    for inputs, answers in answered.seen:
        for part in inputs.parts:
            rows = [inputs.rows[place] for place in part.places]
            for row in rows:
                assert (row.image.pixels == 128).all()  # a plain picture stays plain
                assert row.image.pixels.shape[:2] == sizes[row.question].size
            expected = processed(processor, rows, name)
            assert part.tensors.keys() == expected.keys()
            for key, tensor in expected.items():
                assert torch.equal(part.tensors[key], tensor), key
            again = model.network.generate(**expected, max_new_tokens=4, do_sample=False)
            length = expected["input_ids"].shape[1]
            mine = answers[list(part.places)][:, : again.shape[1] - length]
            ends = again[:, length:] == model.end_ids[0]
            assert torch.equal(mine, again[:, length:].masked_fill(ends, model.end_ids[0]))


def planned(name: str, tier: str) -> list[TierChoice]:
    """What a tier asks for of every sample."""
    rule = load_tier(tier)
    assert isinstance(rule, Tier)
    made = family_tier(preset(PRESETS.get(name, name)).geometry, rule)
    heights, widths = zip(*(size for size, *_ in SAMPLES), strict=True)
    return [made.choices[chosen] for chosen in made.plan_many(heights, widths).chosen]


PRESETS = {
    "internvl3_5": "internvl",
    "llava_onevision": "llava_ov",
    "gemma3": "gemma3_pan_and_scan",
}
"""Where a family's option has another name."""


def reference_processor(checkpoint: Path, image_processor: str) -> Any:
    settings = json.loads((checkpoint / "processor_config.json").read_text())
    stored = json.loads((checkpoint / "preprocessor_config.json").read_text())
    module, kind = image_processor.split(".")
    images = getattr(
        import_module(f"transformers.models.{module}.image_processing_pil_{module}"), kind
    )
    del stored["image_processor_type"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    processor = getattr(transformers, settings.pop("processor_class"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "check_argument_for_proper_class", lambda *_: None)
        parts: dict[str, Any] = {"image_processor": images(**stored), "tokenizer": tokenizer}
        if processor.__name__ != "Gemma3Processor":
            parts["video_processor"] = None
        return processor(**parts, chat_template=tokenizer.chat_template, **settings)


def processed(processor: Any, rows: list[Any], name: str) -> dict[str, torch.Tensor]:
    marked = {"qwen3_vl": "<vs><image><ve>", "gemma3": "<boi>"}.get(name, "<image>")
    texts = [f"<turn>user:{marked}{row.question}<eos><turn>assistant:" for row in rows]
    own = {"do_pan_and_scan": True} if name == "gemma3" else {}
    made = processor(
        images=[[Image.fromarray(row.image.pixels)] for row in rows],
        text=texts,
        padding=True,
        return_tensors="pt",
        **own,
        **dict(rows[0].image.settings),
    )
    return {key: value for key, value in made.items() if isinstance(value, torch.Tensor)}


def source_of(name: str, checkpoint: Path) -> FamilyCheckpoint:
    return FamilyCheckpoint(str(checkpoint), name, PRESETS.get(name, name))


def one_crop(source: FamilyCheckpoint, question: str) -> FamilyInputs:
    """A square image of noise that the family does not divide."""
    side = {"internvl": 448, "llava_ov": 384, "qwen3_vl": 320}.get(source.family or "", 896)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    plan = source.preset.geometry.plan(side, side)
    own, tokens = (), plan.vision_tokens
    if source.family == "smolvlm2":  # which enlarges what it divides
        own, tokens = (("size", {"longest_edge": 512}),), 64
    builder = source.inputs()
    row = FamilyRow(SizedImage(pixels, own, tokens, plan.marks, 1.0), question)
    return builder.collate([row])


@pytest.mark.whole
def test_operations_are_those_that_torch_counts(family: tuple[str, Path]) -> None:
    source = source_of(*family)
    model = source.load(torch.device("cpu"))
    assert isinstance(model, FamilyModel)
    inputs = one_crop(source, "a question of some words?")
    for blocks in (range(3), (0, 2)):
        model.run_blocks(blocks)
        counter = Counter()
        model.generate(inputs, 3, clock=counter, fixed_length=True)
        estimated = model.stage_flops(inputs, 3)
        assert counter.flops.keys() == {"vision", "prefill", "decode"}
        for stage, counted in counter.flops.items():
            assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage
        assert model.stage_flops(inputs, 1).decode == 0


@pytest.mark.parametrize(
    ("family", "patches", "config"),
    [
        ("internvl", 448 // 14, {"downsample_ratio": 0.5}),
        ("idefics3", 364 // 14, {"scale_factor": 2}),
        ("smolvlm2", 512 // 16, {"scale_factor": 4}),
        ("aya", 364 // 14, {"downsample_factor": 2}),
        (
            "gemma3_pan_and_scan", 896 // 14,
            {"mm_tokens_per_image": 256,
             "vision_config": SimpleNamespace(image_size=896, patch_size=14)},
        ),
    ],
)  # fmt: skip
def test_patches_become_as_many_tokens_as_the_plan_says(
    family: str, patches: int, config: dict[str, object]
) -> None:
    """With the settings of the checkpoints that the plans are of."""
    library = families()[family].library
    assert library is not None
    plan = preset(family).geometry.plan(896, 896)
    side = patches // library.merged_side(SimpleNamespace(**config))
    assert plan.vision_tokens == plan.images * side**2


def test_what_nobody_can_count_stays_empty() -> None:
    """Experts in the language model; an encoder of another kind; a family that does not say."""
    text = transformers.Qwen3Config(hidden_size=32, num_hidden_layers=1)
    config = transformers.InternVLConfig(text_config=text)
    lengths, internvl = Lengths(300, 5), families()["internvl"].library
    assert internvl is not None
    assert internvl.vision_flops is not None
    vision = internvl.vision_flops(config, [(32, 32)])
    assert vision is not None
    known = stage_flops(vision, text, lengths)
    experts = transformers.Qwen3MoeConfig(hidden_size=32, num_hidden_layers=1)
    assert stage_flops(vision, experts, lengths) == StageFlops(vision, None, None)
    config.vision_config = transformers.PixtralVisionConfig()
    assert internvl.vision_flops(config, [(32, 32)]) is None
    assert stage_flops(None, text, lengths) == replace(known, vision=None)


@pytest.mark.whole
def test_a_reduction_is_matched_to_the_family_s_own_tier(tmp_path: Path) -> None:
    """Which is none of Molmo's."""
    checkpoint = tmp_path / "checkpoint"
    checkpoints.qwen3_vl(checkpoint)
    (tmp_path / "samples.json").write_text(json.dumps(SAMPLES))
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        setup = read_setup(compose("eval", [
            f"hydra.searchpath=[file://{TESTS / 'conf'}]", "data=plain",
            f"data.path={tmp_path / 'samples.json'}", "model=qwen3_vl",
            f"model.checkpoint={checkpoint}", "tier=medium", "reduction=stride",
            "reduction.match=low", "run_name=a", "logger=none",
        ]))  # fmt: skip
    low, medium = (
        [choice.plan.vision_tokens for choice in planned("qwen3_vl", tier)]
        for tier in ("low", "medium")
    )
    mean = int(np.mean(low) + 0.5)
    assert mean < min(medium)
    (reduction,) = setup.point_reductions
    assert reduction == StridedTokens(tokens=mean)


@pytest.mark.whole
def test_blocks_that_are_left_out(family: tuple[str, Path], tmp_path: Path) -> None:
    """The first and the last of three: as a network that never had the one between them."""
    name, checkpoint = family
    source = source_of(name, checkpoint)
    model = source.load(torch.device("cpu"))
    shorter = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    inner = shorter.model
    decoder = inner.language_model if hasattr(inner, "language_model") else inner.text_model
    del decoder.layers[1]
    decoder.layers[1].self_attn.layer_idx = 1
    decoder.config.num_hidden_layers = 2
    if getattr(decoder.config, "layer_types", None):
        del decoder.config.layer_types[1]
    inputs = one_crop(source, "what?")
    whole = model.generate(inputs, 4)
    model.run_blocks([0, 2])
    assert isinstance(model, FamilyModel)
    less = model.generate(inputs, 4)
    (part,) = inputs.parts
    expected = shorter.generate(**part.tensors, max_new_tokens=4, do_sample=False)
    assert torch.equal(less, expected[:, part.tensors["input_ids"].shape[1] :])
    model.run_blocks([0, 1, 2])
    assert torch.equal(model.generate(inputs, 4), whole)


@pytest.mark.whole
def test_what_a_checkpoint_does_to_its_answers_is_left_out(tmp_path: Path) -> None:
    """Greedy is greedy: a penalty of the checkpoint's would change answers and confidences."""
    checkpoints.qwen3_vl(tmp_path)
    source = source_of("qwen3_vl", tmp_path)

    def answers() -> tuple[list[list[int]], list[AnswerFacts]]:
        meter = ConfidenceMeter()
        model = source.load(torch.device("cpu"))
        ids = model.generate(one_crop(source, "what is it?"), 6, observer=meter)
        return ids.tolist(), meter.facts(1)

    plain = answers()
    file = tmp_path / "generation_config.json"
    told = {"do_sample": True, "repetition_penalty": 1.5, "no_repeat_ngram_size": 1}
    file.write_text(json.dumps(json.loads(file.read_text()) | told))
    assert answers() == plain


def test_a_processor_that_does_not_follow_the_plan_is_a_line(tmp_path: Path) -> None:
    """Its settings are another model's: at most 100 cells."""
    checkpoint = tmp_path / "checkpoint"
    checkpoints.qwen3_vl(checkpoint)
    file = checkpoint / "preprocessor_config.json"
    settings = json.loads(file.read_text())
    settings["size"]["longest_edge"] = 100 * 32 * 32
    file.write_text(json.dumps(settings))
    outcome = run("qwen3_vl", checkpoint, tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    for words in ("model.checkpoint=", "makes 432 tokens", "768 x 576", "not 88"):
        assert words in outcome.err


def test_a_checkpoint_of_another_family_is_a_line(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoints.idefics3(checkpoint)
    outcome = run("qwen3_vl", checkpoint, tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "model_type qwen3_vl, not idefics3" in outcome.err
