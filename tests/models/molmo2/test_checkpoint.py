"""Molmo2 folders: as released, as saved, damaged; and evaluated from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.command_line import run_command, run_eval
from tests.support.molmo2_models import PROCESSOR, SIZES, small_network, write_checkpoint
from tierexp.errors import CheckpointError, ConfigError
from tierexp.evaluation.block_importance import measure_block_importance
from tierexp.models.knobs.active_blocks import ActiveBlocks
from tierexp.models.molmo2 import checkpoint as checkpoint_module
from tierexp.models.molmo2.checkpoint import Molmo2Checkpoint
from tierexp.models.molmo2.pooled_canvas import PooledCanvas
from tierexp.models.molmo2.settings import read_settings
from tierexp.results.files import load_results
from tierexp.tiers.tier import fixed_tier

KNOBS = ("top_k", "num_active_blocks", "block_policy", "block_importance")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("molmo2"))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(saved, tmp_path / "checkpoint")


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_released_words_and_saved_ones_mean_the_same(folder: Path) -> None:
    expected = read_settings(folder)
    assert expected.geometry == PooledCanvas(70, 14, (1, 1))
    assert expected.num_blocks == SIZES["text_config"]["num_hidden_layers"]

    def as_released(values: dict[str, Any]) -> None:
        vision = values.pop("vision_config")
        vision["image_default_input_size"] = vision.pop("image_size")
        vision["image_patch_size"] = vision.pop("patch_size")
        values["vit_config"] = vision

    edit(folder / "config.json", as_released)
    images = PROCESSOR["image_processor"]
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    edit(folder / "processor_config.json", lambda values: values.pop("image_processor"))
    assert read_settings(folder) == expected


def test_what_the_files_leave_out_is_as_the_library_has_it(folder: Path) -> None:
    (folder / "processor_config.json").write_text('{"image_processor": {}}')
    edit(
        folder / "config.json",
        lambda values: values["vision_config"].update(image_size=[378, 378]),
    )
    settings = read_settings(folder)
    assert settings.geometry == PooledCanvas(crop_size=378)
    assert settings.image_mean == settings.image_std == (0.5, 0.5, 0.5)
    assert settings.canvas_cols
    assert settings.view_cols
    assert settings.own_view_start


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("config.json", {"model_type": "molmo"}, "model_type='molmo' is not molmo2"),
        ("config.json", {"text_config": None}, "text_config is not an object"),
        ("config.json", {"image_patch_id": "322"}, "image_patch_id='322' is not a whole number"),
        (
            "processor_config.json",
            {"image_processor": {"size": {"height": 84, "width": 84}}},
            "cuts crops of (84, 84) pixels in patches of 14, the model takes (70, 70)",
        ),
        (
            "processor_config.json",
            {"image_processor": PROCESSOR["image_processor"] | {"overlap_margins": [3, 2]}},
            "geometry.overlap_margins=(3, 2) is not possible",
        ),
        (
            "processor_config.json",
            {"image_processor": PROCESSOR["image_processor"] | {"image_mean": 0.5}},
            "image_mean=0.5 is not three numbers",
        ),
        ("processor_config.json", {"image_use_col_tokens": 1}, "image_use_col_tokens=1 is not"),
    ],
)
def test_a_folder_that_is_no_molmo2_is_refused_in_one_line(
    folder: Path, file: str, change: dict[str, Any], complaint: str
) -> None:
    edit(folder / file, lambda values: values.update(change))
    with pytest.raises(ConfigError) as refused:
        Molmo2Checkpoint(str(folder))
    assert complaint in str(refused.value)
    assert refused.value.key == "model.checkpoint"


def test_a_folder_without_a_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config.json cannot be read: No such file"):
        Molmo2Checkpoint(str(folder))


@pytest.mark.parametrize("nested", [True, False])
def test_what_is_published_stands_in_for_missing_processor_files(
    folder: Path, nested: bool
) -> None:
    edit(
        folder / "config.json",
        lambda values: values["vision_config"].update(image_size=[378, 378]),
    )
    (folder / "processor_config.json").unlink()
    if not nested:
        means = {"image_mean": [0.4, 0.5, 0.6]}
        (folder / "preprocessor_config.json").write_text(json.dumps(means))
    settings = Molmo2Checkpoint(str(folder)).settings
    assert settings.geometry == PooledCanvas(crop_size=378)
    assert settings.image_mean == ((0.5, 0.5, 0.5) if nested else (0.4, 0.5, 0.6))
    # Published: `use_single_crop_col_tokens` is false, where the library alone would say "as the
    # canvas".
    assert (settings.canvas_cols, settings.view_cols, settings.own_view_start) == (
        True, False, True,
    )  # fmt: skip


RELEASED_ONLY: dict[str, dict[str, Any]] = {
    "text_config": {
        "attention_dropout": 0.0, "attn_implementation": "sdpa", "embedding_dropout": 0.0,
        "norm_after": False, "qk_norm_type": "qwen3", "residual_dropout": 0.0,
        "rope_scaling": None, "rope_scaling_layers": None, "use_qk_norm": True,
    },
    "vision_config": {
        "attention_dropout": 0.0, "float32_attention": True, "residual_dropout": 0.0,
    },
    "adapter_config": {
        "float32_attention": True, "image_feature_dropout": 0.0, "pooling_attention_mask": True,
        "residual_dropout": 0.0,
    },
}  # fmt: skip
"""Keys of the released files that `transformers` does not write."""


def test_every_released_key_is_known(folder: Path) -> None:
    def as_released(values: dict[str, Any]) -> None:
        for part, keys in RELEASED_ONLY.items():
            values[part] |= keys
        values |= {"image_col_id": 323, "image_low_res_id": 325, "image_high_res_id": 322}
        values |= {"use_frame_special_tokens": True, "dtype": "float32", "use_cache": True}
        values |= {"architectures": ["Molmo2ForConditionalGeneration"], "auto_map": {}}

    expected = read_settings(folder)
    edit(folder / "config.json", as_released)
    assert read_settings(folder) == expected


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        (None, "quantization_config", {"quant_method": "compressed-tensors"}),
        (None, "tie_word_embeddings", True),
        (None, "eos_token_id", 7),
        (None, "action_expert_config", {}),
        ("text_config", "use_qk_norm", False),
        ("text_config", "sliding_window", 4096),
        ("text_config", "use_sliding_window", True),
        ("text_config", "tie_word_embeddings", True),
        ("text_config", "attn_logit_softcapping", 30.0),
        ("vision_config", "float32_attention", False),
        ("vision_config", "image_model_type", "dino"),
        ("adapter_config", "float32_attention", False),
        ("adapter_config", "pooling_attention_mask", False),
        ("adapter_config", "image_pooling_2d", "attention_2wide"),
    ],
)
def test_a_key_that_changes_what_is_computed_is_refused_by_name(
    folder: Path, part: str | None, key: str, value: object
) -> None:
    edit(
        folder / "config.json",
        lambda values: (values if part is None else values[part]).update({key: value}),
    )
    named = key if part is None else f"{part}.{key}"
    with pytest.raises(ConfigError, match=rf"config\.json: {named}=.* not implemented") as error:
        Molmo2Checkpoint(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("ln_f.weight"))
    tensors[name][-1] = value
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"norm\.weight holds .* not finite"):
        Molmo2Checkpoint(str(folder)).load(CPU)


def test_an_index_beside_other_weights_is_refused(folder: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="two sets of weights"):
        Molmo2Checkpoint(str(folder)).load(CPU)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"top_k": 2}, r"model\.top_k=2 is not possible: only null, this model has no experts"),
        ({"num_active_blocks": 5}, "a whole number from 1 to 4"),
        ({"block_policy": "importance"}, r"model\.block_importance=None"),
        ({"block_importance": "scores.json"}, "only model.block_policy=importance reads it"),
        ({"max_new_tokens": 0}, r"model\.max_new_tokens=0"),
        ({"dtype": "int8"}, r"model\.dtype='int8'"),
    ],
)
def test_an_impossible_setting_is_refused(
    saved: Path, setting: dict[str, Any], complaint: str
) -> None:
    knobs = {key: value for key, value in setting.items() if key in KNOBS}
    others = {key: value for key, value in setting.items() if key not in KNOBS}
    with pytest.raises(ConfigError, match=complaint):
        Molmo2Checkpoint(str(saved), **others).with_knobs(knobs)


@pytest.mark.parametrize("missing", ["transformers", "jinja2"])
def test_the_missing_extra_costs_one_line(
    saved: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    kept = checkpoint_module.find_spec
    monkeypatch.setattr(
        checkpoint_module, "find_spec", lambda name: None if name == missing else kept(name)
    )
    with pytest.raises(ConfigError, match=r"pip install 'tierexp\[molmo2\]'"):
        Molmo2Checkpoint(str(saved))


@pytest.mark.whole
def test_every_tensor_is_read_and_none_made_up(folder: Path) -> None:
    source = Molmo2Checkpoint(str(folder)).with_knobs(
        {"num_active_blocks": 2, "block_policy": "first"}
    )
    model = source.load(CPU)
    assert model.active_blocks == (0, 1)
    model.run_blocks(range(4))
    loaded = model.network.state_dict()
    for key, weight in small_network().state_dict().items():
        assert torch.equal(loaded[key], weight), key
    # What transformers saves is in the released names: split embeddings, fused projections.
    stored = load_file(folder / "model.safetensors")
    assert any(key.endswith("wte.new_embedding") for key in stored)
    assert any(key.endswith("self_attn.att_proj.weight") for key in stored)
    name = next(name for name in stored if name.endswith(("norm.weight", "ln_f.weight")))
    rest = {key: value for key, value in stored.items() if key != name}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks model"):
        source.load(CPU)
    extra = stored | {"model.language_model.surplus": torch.zeros(2)}
    save_file(extra, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"has tensors left over: .*surplus"):
        source.load(CPU)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        source.load(CPU)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has neither"):
        source.load(CPU)


def test_a_fixed_tier_counts_the_models_own_tokens() -> None:
    geometry = PooledCanvas(crop_size=378)
    tier = fixed_tier(1008, geometry)
    assert (tier.min_crops, tier.max_crops) == (4, 4)  # 5 x 196 = 980
    assert tier.typical_vision_tokens == 980


@pytest.mark.whole
def test_it_answers_from_the_command_line(saved: Path, tmp_path: Path) -> None:
    common = [
        "model=molmo2_4b", f"model.checkpoint={saved}", "model.max_new_tokens=3",
        "data.max_samples=3", "data.num_workers=0", "logger=none",
    ]  # fmt: skip
    outcome = run_eval(
        *common, "tier=medium", "model.num_active_blocks=3", "latency=on", "latency.repeats=1",
        f"output_dir={tmp_path / 'medium'}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (file,) = (tmp_path / "medium").glob("*.json")
    assert file.name.endswith("_topknone_blocks3.json")
    results = load_results(file)
    # As the family resizes, for nothing else was asked.
    resized = {"crops": "stretch", "global_view": "stretch", "antialias": False}
    assert results.provenance.config["resize"].items() >= resized.items()
    geometry = Molmo2Checkpoint(str(saved)).geometry
    assert results.num_samples == 3
    for sample in results.per_sample_results:
        tiling = tuple(sample.selected_tiling)
        assert sample.selected_vision_tokens == (sample.selected_crops + 1) * 9
        assert sample.llm_vision_tokens == geometry.llm_vision_tokens(tiling)
        assert sample.actual_vision_tokens == sample.selected_vision_tokens
        assert sample.latency is not None
        assert sample.latency.T_vision_total > 0
    assert "transformers" in results.provenance.versions
    outcome = run_eval(
        *common, "tier=fixed_432", "tier.vision_tokens=54", f"output_dir={tmp_path / 'fixed'}"
    )
    assert outcome.code == 0, outcome.err
    (file,) = (tmp_path / "fixed").glob("*.json")
    assert {s.selected_crops for s in load_results(file).per_sample_results} == {5}


@pytest.mark.whole
def test_block_importance_is_measured_on_it_too(saved: Path, tmp_path: Path) -> None:
    outcome = run_command(
        measure_block_importance, "block_importance", "model=molmo2_o_7b",
        f"model.checkpoint={saved}", "tier=low", "data.max_samples=2", "data.num_workers=0",
        f"output_dir={tmp_path}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    scores = json.loads((tmp_path / "block_importance.json").read_text())["block_importance"]
    assert len(scores) == 4
    scored = ActiveBlocks(2, "importance", str(tmp_path / "block_importance.json"))
    assert len(scored.blocks(4)) == 2


def test_the_knob_that_dense_models_lack_costs_one_line(saved: Path) -> None:
    outcome = run_eval("model=molmo2_8b", f"model.checkpoint={saved}", "model.top_k=2")
    assert outcome.code == 2
    assert outcome.err == (
        "error: model.top_k=2 is not possible: only null, this model has no experts to choose\n"
    )
