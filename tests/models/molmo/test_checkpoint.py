"""Checkpoint folders: read, written, sharded, damaged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.molmo_models import KINDS, prompt, small_model
from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.checkpoint_files import weight_files
from tierexp.models.molmo import stored_tensors
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.config import read_config
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.tokenizer_training import train_tokenizer
from tierexp.models.molmo.weights import load_model

GOLDEN = Path(__file__).parents[2] / "golden"
CPU = torch.device("cpu")


def write_tokenizer(folder: Path, vocab_size: int) -> Path:
    train_tokenizer(["what is it"], vocab_size, folder / "tokenizer.json")
    return folder


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The golden mixture of experts, with a tokenizer."""
    folder = tmp_path / "released"
    copytree(GOLDEN / "molmoe-tiny", folder)
    return write_tokenizer(folder, 320)


@pytest.mark.parametrize("name", ["molmoe-tiny", "molmo-dense-tiny"])
def test_writing_a_released_checkpoint_gives_its_tensors_back(name: str, tmp_path: Path) -> None:
    source = copytree(GOLDEN / name, tmp_path / "source")
    model = MolmoCheckpoint(str(write_tokenizer(source, 320))).load(CPU).network
    save_checkpoint(model, tmp_path / "copy", torch.float32)
    modes = {file.stat().st_mode for file in (tmp_path / "copy").iterdir()}
    assert len(modes) == 1  # whoever may read the configuration may read the weights
    original = load_file(source / "model.safetensors")
    copy = load_file(tmp_path / "copy" / "model.safetensors")
    assert copy.keys() == original.keys()
    assert all(torch.equal(copy[key], original[key]) for key in original)
    assert MolmoCheckpoint(str(tmp_path / "copy")).config == model.config


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_answers_the_same_after_a_round_trip(kind: str, tmp_path: Path) -> None:
    model, inputs = small_model(kind), prompt([12, 9])
    with torch.no_grad():
        save_checkpoint(model, tmp_path, torch.float32)
        # The small model's vocabulary is below a tokenizer's least, so it is loaded without one.
        loaded = load_model(weight_files(tmp_path), read_config(tmp_path), [CPU], torch.float32)
        assert torch.equal(loaded(inputs), model(inputs))
    assert not loaded.training


def test_half_precision_on_disk_is_read_into_float32(released: Path) -> None:
    model = MolmoCheckpoint(str(released)).load(CPU).network
    save_checkpoint(model, released, torch.float16)
    narrow = MolmoCheckpoint(str(released)).load(CPU).network
    for wide, weight in zip(model.parameters(), narrow.parameters(), strict=True):
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, wide, rtol=1e-3, atol=1e-6)


def test_precision_can_be_chosen(released: Path) -> None:
    model = MolmoCheckpoint(str(released), dtype="bfloat16").load(CPU).network
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_shards_with_an_index(released: Path) -> None:
    whole = MolmoCheckpoint(str(released)).load(CPU).network.state_dict()
    tensors = load_file(released / "model.safetensors")
    (released / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for shard in range(3):
        file = f"model-{shard}.safetensors"
        part = {name: tensors[name] for name in names[shard::3]}
        save_file(part, released / file)
        weight_map |= dict.fromkeys(part, file)
    index = released / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    sharded = MolmoCheckpoint(str(released)).load(CPU).network.state_dict()
    assert all(torch.equal(sharded[name], whole[name]) for name in whole)

    (released / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors"):
        MolmoCheckpoint(str(released)).load(CPU)


def test_a_copy_is_the_same_checkpoint_and_other_weights_are_not(
    released: Path, tmp_path: Path
) -> None:
    copytree(released, tmp_path / "copy")
    here, there = (MolmoCheckpoint(str(f)) for f in (released, tmp_path / "copy"))
    assert here.weights != there.weights  # loaded anew, as nobody has looked into the files yet
    assert here.checkpoint_digest == there.checkpoint_digest
    (file,) = weight_files(tmp_path / "copy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert here.checkpoint_digest != there.checkpoint_digest


def test_missing_and_left_over_tensors_are_named(released: Path) -> None:
    file = released / "model.safetensors"
    tensors = load_file(file)
    missing = "model.transformer.blocks.1.mlp.experts.3.up_proj.weight"
    del tensors[missing]
    tensors["model.surprise"] = torch.zeros(1)
    save_file(tensors, file)
    with pytest.raises(CheckpointError) as error:
        MolmoCheckpoint(str(released)).load(CPU)
    assert f"missing: {missing};" in str(error.value)
    assert "left over: model.surprise" in str(error.value)


def test_a_tensor_of_another_shape_is_named(released: Path) -> None:
    file = released / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = torch.zeros(3, 64)
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is \(3, 64\).*\(320, 64\)"):
        MolmoCheckpoint(str(released)).load(CPU)


def write_index(folder: Path, weight_map: dict[str, str]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_a_tensor_in_two_shards_is_refused(released: Path) -> None:
    (released / "model.safetensors").rename(released / "a.safetensors")
    head = load_file(released / "a.safetensors")["lm_head.weight"]
    save_file({"lm_head.weight": head, "more": head[:1].clone()}, released / "b.safetensors")
    write_index(released, {"lm_head.weight": "a.safetensors", "more": "b.safetensors"})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is stored twice"):
        MolmoCheckpoint(str(released)).load(CPU)


def test_an_index_entry_that_its_shard_does_not_hold_is_named(released: Path) -> None:
    tensors = load_file(released / "model.safetensors")
    (released / "model.safetensors").rename(released / "a.safetensors")
    save_file({"more": torch.zeros(1)}, released / "b.safetensors")
    whole = dict.fromkeys(tensors, "a.safetensors")
    for entry, complaint in (
        ({"model.surplus": "a.safetensors"}, r"a\.safetensors lacks 'model\.surplus', .*index"),
        ({"lm_head.weight": "b.safetensors"}, r"b\.safetensors lacks 'lm_head\.weight', .*index"),
    ):
        write_index(released, whole | entry)
        with pytest.raises(CheckpointError, match=complaint) as error:
            MolmoCheckpoint(str(released)).load(CPU)
        assert "\n" not in str(error.value)
    write_index(released, whole)
    MolmoCheckpoint(str(released)).load(CPU)


def test_two_sets_of_weights_in_a_folder_are_refused(released: Path) -> None:
    tensors = load_file(released / "model.safetensors")
    write_index(released, dict.fromkeys(tensors, "model.safetensors"))
    assert weight_files(released) == [released / "model.safetensors"]
    save_file(tensors, released / "a.safetensors")
    write_index(released, dict.fromkeys(tensors, "a.safetensors"))
    with pytest.raises(CheckpointError, match=r"two sets of weights, model\.safetensors and"):
        MolmoCheckpoint(str(released)).load(CPU)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.vision_backbone.image_vit.pre_ln.bias"])
def test_weights_that_are_not_finite_are_named(
    released: Path, value: float, dtype: torch.dtype, name: str
) -> None:
    file = released / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = tensors[name].to(dtype)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=f"{re.escape(name)} holds .* not finite") as error:
        MolmoCheckpoint(str(released)).load(CPU)
    assert "\n" not in str(error.value)


def test_large_weights_are_finite(released: Path) -> None:
    """Although their sum is not; but not those beyond the dtype they are read into."""
    file = released / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"].fill_(3e38)
    save_file(tensors, file)
    head = MolmoCheckpoint(str(released)).load(CPU).network.lm_head.weight
    assert torch.equal(head, tensors["lm_head.weight"])
    tensors["lm_head.weight"] = tensors["lm_head.weight"].double() * 10
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match="not finite"):
        MolmoCheckpoint(str(released)).load(CPU)


def test_damaged_weights_are_refused(released: Path) -> None:
    (released / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(CheckpointError, match="damaged"):
        MolmoCheckpoint(str(released)).load(CPU)


def test_weights_in_other_numbers_are_refused(released: Path) -> None:
    file = released / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.int8)
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is stored as I8"):
        MolmoCheckpoint(str(released)).load(CPU)


def test_a_tensor_of_many_pieces_arrives_whole(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tensors, "_PIECE", 4 * 37)
    model = MolmoCheckpoint(str(released)).load(CPU).network
    stored = load_file(released / "model.safetensors")
    assert torch.equal(model.lm_head.weight, stored["lm_head.weight"])
    expert = stored["model.transformer.blocks.2.mlp.experts.5.up_proj.weight"]
    experts = model.transformer.blocks[2].mlp.experts.gate_up_proj[5]
    assert torch.equal(experts[len(experts) // 2 :], expert)


def test_a_folder_without_weights_is_refused(released: Path) -> None:
    (released / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="neither"):
        MolmoCheckpoint(str(released)).load(CPU)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model_type": "llama"}', "{}"])
def test_a_folder_that_is_no_molmo_checkpoint(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError) as error:
        MolmoCheckpoint(str(tmp_path))
    assert error.value.key == "model.checkpoint"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("top_k", [0, 9, -1, 1.5, True])
def test_impossible_top_k(released: Path, top_k: int) -> None:
    with pytest.raises(ConfigError, match="from 1 to 8") as error:
        MolmoCheckpoint(str(released)).with_knobs({"top_k": top_k})
    assert error.value.key == "model.top_k"


def test_a_dense_model_has_no_top_k() -> None:
    folder = str(GOLDEN / "molmo-dense-tiny")
    assert MolmoCheckpoint(folder).knob_values == {"top_k": None, "num_active_blocks": 3}
    with pytest.raises(ConfigError, match="no experts"):
        MolmoCheckpoint(folder).with_knobs({"top_k": 1})


def test_top_k_reaches_the_model(released: Path) -> None:
    source = MolmoCheckpoint(str(released))
    model, one = source.load(CPU), source.with_knobs({"top_k": 1}).load(CPU)
    assert model.knobs == DecoderKnobs((0, 1, 2), 3)
    assert one.knobs == DecoderKnobs((0, 1, 2), 1)
    assert model.end_of_text_id == source.tokenizer().eos_id


@pytest.mark.parametrize(("key", "value"), [("dtype", "int8"), ("max_new_tokens", 0)])
def test_other_impossible_settings(released: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as error:
        MolmoCheckpoint(str(released), **{key: value})  # type: ignore[arg-type]
    assert error.value.key == f"model.{key}"


def test_everything_is_checked_without_torch(released: Path) -> None:
    code = (
        "import sys; from tierexp.models.molmo.checkpoint import MolmoCheckpoint;"
        "source = MolmoCheckpoint(sys.argv[1]); source.tokenizer(); source.geometry;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(released)], check=True)
