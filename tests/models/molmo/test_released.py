"""The four released checkpoints: their published `config.json`, their tensors, and the options of
`model` that name them, which refuse each other's folders."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.command_line import run_eval
from tests.support.molmo_models import small_config
from tierexp.errors import ConfigError
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.released import RELEASED
from tierexp.models.molmo.sizes import VisionConfig
from tierexp.models.molmo.weights import released_tensors
from tierexp.models.tokenizer_training import train_tokenizer
from tierexp.tiers.geometry import CropGeometry

DENSE: dict[str, Any] = {
    "architectures": ["MolmoForCausalLM"],
    "clip_qkv": None,
    "initializer_range": 0.02,
    "layer_norm_type": "rms",
    "max_position_embeddings": 4096,
    "model_type": "molmo",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": True,
    "use_position_ids": True,
    "weight_tying": False,
}
QWEN2: dict[str, Any] = DENSE | {
    "attention_layer_norm": False,
    "embedding_size": 152064,
    "norm_after": False,
    "qkv_bias": True,
    "rope_theta": 1000000.0,
    "vocab_size": 152064,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "MolmoE-1B-0924": {
        "architectures": ["OLMoForCausalLM"],
        "activation_type": "swiglu",
        "additional_vocab_size": 128,
        "attention_layer_norm": True,
        "block_type": "moe",
        "d_model": 2048,
        "embedding_size": 50304,
        "image_padding_embed": "pad_and_partial_pad",
        "image_pooling_2d": "attention-meanq",
        "layer_norm_eps": 1e-05,
        "layer_norm_type": "rms",
        "max_crops": 12,
        "mlp_hidden_size": None,
        "mlp_ratio": 1,
        "model_type": "molmo",
        "moe_num_experts": 64,
        "moe_top_k": 8,
        "n_heads": 16,
        "n_kv_heads": None,
        "n_layers": 16,
        "norm_after": False,
        "overlap_margins": [4, 4],
        "qkv_bias": False,
        "rope_theta": 10000.0,
        "vision_backbone": {
            "image_default_input_size": [336, 336],
            "image_emb_dim": 1024,
            "image_head_dim": 64,
            "image_mlp_activations": "quick_gelu",
            "image_mlp_dim": 4096,
            "image_model_type": "openai",
            "image_norm_eps": 1e-05,
            "image_num_heads": 16,
            "image_num_key_value_heads": 16,
            "image_num_layers": 23,
            "image_num_pos": 577,
            "image_patch_size": 14,
        },
        "vit_layers": [-2, -9],
        "vocab_size": 50280,
    },
    "Molmo-7B-D-0924": QWEN2
    | {"hidden_size": 3584, "intermediate_size": 37888, "layer_norm_eps": 1e-06}
    | {"num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4},
    "Molmo-7B-O-0924": DENSE
    | {"attention_layer_norm": True, "norm_after": True, "qkv_bias": False}
    | {"embedding_size": 100352, "vocab_size": 100278, "rope_theta": 500000.0}
    | {"hidden_size": 4096, "intermediate_size": 22016, "layer_norm_eps": 1e-06}
    | {"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": None},
    "Molmo-72B-0924": QWEN2
    | {"hidden_size": 8192, "intermediate_size": 59136, "layer_norm_eps": 1e-05}
    | {"num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8},
}
"""As published, less what only training reads. The dense ones say nothing of vision, nor of the 128
ids added for images: their code does."""

OPTIONS = {
    "molmoe_1b": "MolmoE-1B-0924",
    "molmo_7b_d": "Molmo-7B-D-0924",
    "molmo_7b_o": "Molmo-7B-O-0924",
    "molmo_72b": "Molmo-72B-0924",
}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "molmoe_1b": ("mixture", {}),
    "molmo_7b_d": ("dense", {"norm_eps": 1e-6}),
    "molmo_7b_o": ("olmo", {"norm_eps": 1e-6}),
    "molmo_72b": ("dense", {"num_kv_heads": 1}),
}
"""Each in small: kind and changes of `tests.support.molmo_models`."""


def skeleton(name: str) -> Molmo:
    with torch.device("meta"):
        return Molmo(MolmoConfig.from_checkpoint_json(PUBLISHED[name]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_configuration_is_read(name: str) -> None:
    config = MolmoConfig.from_checkpoint_json(PUBLISHED[name])
    assert config.decoder == RELEASED[name]
    assert config.vision == VisionConfig()
    assert config.connector.hidden_width == config.decoder.mlp_width
    assert (config.geometry, config.mask_order) == (CropGeometry(), "shifted")


@pytest.mark.parametrize(
    ("name", "weights", "tolerance"),
    [
        # The index of Molmo-7B-D's shards says 32,084,101,120 bytes of float32; the others as
        # the hub rounds them.
        ("Molmo-7B-D-0924", 32_084_101_120 / 4, 0),
        ("MolmoE-1B-0924", 7.2e9, 0.005),
        ("Molmo-7B-O-0924", 7.67e9, 0.005),
        ("Molmo-72B-0924", 73.3e9, 0.005),
    ],
)
def test_as_many_weights_as_published(name: str, weights: float, tolerance: float) -> None:
    count = sum(parameter.numel() for parameter in skeleton(name).parameters())
    assert count == pytest.approx(weights, rel=tolerance, abs=0)


def named(*words: str, kinds: tuple[str, ...] = ("weight",)) -> set[str]:
    return {f"{word}.{kind}" for word in words for kind in kinds}


BOTH = ("weight", "bias")
VISION = {
    "vision_backbone.pad_embed",
    "vision_backbone.image_vit.class_embedding",
    "vision_backbone.image_vit.positional_embedding",
    *named("vision_backbone.image_vit.patch_embedding"),
    *named("vision_backbone.image_vit.pre_ln", kinds=BOTH),
    *named(*(f"vision_backbone.image_projector.{w}" for w in ("w1", "w2", "w3"))),
    *named(
        *(f"vision_backbone.image_pooling_2d.{w}" for w in ("wq", "wk", "wv", "wo")), kinds=BOTH
    ),
    *named(
        *(
            f"vision_backbone.image_vit.transformer.resblocks.{block}.{part}"
            for block in range(23)
            for part in (
                "attention.wq", "attention.wk", "attention.wv", "attention.wo",
                "attention_norm", "ffn_norm", "feed_forward.w1", "feed_forward.w2",
            )
        ),
        kinds=BOTH,
    ),
}  # fmt: skip
EMBEDDING = {
    "transformer.wte.embedding",
    "transformer.wte.new_embedding",
    "transformer.ln_f.weight",
}


def dense_names(blocks: int, parts: set[str]) -> set[str]:
    block = {f"transformer.blocks.{b}.{part}" for b in range(blocks) for part in parts}
    return {f"model.{n}" for n in VISION | EMBEDDING | block | {"transformer.ff_out.weight"}}


DENSE_PARTS = named("att_proj", "attn_out", "attn_norm", "ff_norm", "ff_proj", "ff_out")
MIXTURE_PARTS = named(
    *(f"attn.{part}" for part in ("att_proj", "attn_out", "attn_norm", "q_norm", "k_norm")),
    "mlp.gate", "mlp.ff_norm",
    *(f"mlp.experts.{e}.{part}_proj" for e in range(64) for part in ("gate", "up", "down")),
)  # fmt: skip
NAMES = {
    "Molmo-7B-D-0924": dense_names(28, DENSE_PARTS | {"att_proj.bias"}),
    "Molmo-72B-0924": dense_names(80, DENSE_PARTS | {"att_proj.bias"}),
    "Molmo-7B-O-0924": dense_names(32, DENSE_PARTS | named("q_norm", "k_norm")),
    "MolmoE-1B-0924": {
        f"model.{name}"
        for name in VISION
        | EMBEDDING
        | {f"transformer.blocks.{b}.{part}" for b in range(16) for part in MIXTURE_PARTS}
    }
    | {"lm_head.weight"},
}
"""As the checkpoints' indices list them."""


@pytest.mark.parametrize("name", NAMES)
def test_the_tensors_of_a_release_are_those_that_are_read(name: str) -> None:
    config = MolmoConfig.from_checkpoint_json(PUBLISHED[name])
    names = [tensor.name for tensor in released_tensors(config)]
    assert len(names) == len(set(names))
    assert set(names) == NAMES[name]


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_takes_its_own_release_and_refuses_the_others(
    option: str, tmp_path: Path
) -> None:
    for name, values in PUBLISHED.items():
        (tmp_path / "config.json").write_text(json.dumps(values))
        if name == OPTIONS[option]:
            assert MolmoCheckpoint(str(tmp_path), released=name).config.decoder == RELEASED[name]
            continue
        with pytest.raises(ConfigError, match=name) as error:
            MolmoCheckpoint(str(tmp_path), released=OPTIONS[option])
        assert error.value.key == "model.checkpoint"
        assert OPTIONS[option] in str(error.value)
        assert "\n" not in str(error.value)


def small_checkpoint(option: str, folder: Path) -> Path:
    kind, changes = SMALL[option]
    torch.manual_seed(0)
    model = Molmo(small_config(kind, vocab_size=320, extra_vocab_size=128, **changes))
    save_checkpoint(model, folder, torch.float32)
    train_tokenizer(["what is it"], 320, folder / "tokenizer.json")
    return folder


@pytest.mark.parametrize("option", OPTIONS)
def test_a_small_checkpoint_of_every_layout_answers(option: str, tmp_path: Path) -> None:
    folder = small_checkpoint(option, tmp_path / "checkpoint")
    outcome = run_eval(
        f"model={option}", f"model.checkpoint={folder}", "model.max_new_tokens=2",
        "data.max_samples=2", "data.num_workers=0", "tier=fixed_288", "trainer=cpu", "logger=none",
        f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (file,) = (tmp_path / "out").glob("*_tier-*.json")
    results = json.loads(file.read_text())
    assert (results["model"], results["num_samples"]) == (option, 2)
    assert results["top_k"] == (2 if option == "molmoe_1b" else None)


def test_a_folder_of_another_kind_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = small_checkpoint("molmoe_1b", tmp_path)
    (folder / "model.safetensors").unlink()
    for option in ("molmo_7b_d", "molmo_7b_o", "molmo_72b"):
        outcome = run_eval(f"model={option}", f"model.checkpoint={folder}")
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
        assert "not a mixture of experts" in outcome.err


class Hub:
    """Stands for the hub's client: hands out one folder, or what goes wrong."""

    def __init__(self, folder: Path | Exception) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str | None, list[str]]] = []

    def snapshot_download(
        self, repo_id: str, *, revision: str | None, allow_patterns: list[str]
    ) -> str:
        self.asked.append((repo_id, revision, allow_patterns))
        if isinstance(self.folder, Exception):
            raise self.folder
        return str(self.folder)


def use_hub(monkeypatch: pytest.MonkeyPatch, hub: Hub | None) -> None:
    client = hub and SimpleNamespace(snapshot_download=hub.snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)


def test_a_hub_id_is_fetched_in_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(small_checkpoint("molmoe_1b", tmp_path / "a1b2c3"))
    use_hub(monkeypatch, hub)
    source = MolmoCheckpoint("allenai/MolmoE-1B-0924", released="MolmoE-1B-0924")
    source.tokenizer()
    described = ("allenai/MolmoE-1B-0924", None, ["config.json", "tokenizer.json"])
    assert hub.asked == [described]
    source.load(torch.device("cpu"))
    # The weights are those of the commit whose configuration was read.
    weights = ["model.safetensors.index.json", "*.safetensors"]
    assert hub.asked == [described, ("allenai/MolmoE-1B-0924", "a1b2c3", weights)]


def test_a_folder_goes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(OSError("not to be asked"))
    use_hub(monkeypatch, hub)
    small_checkpoint("molmoe_1b", tmp_path / "mine" / "model")
    monkeypatch.chdir(tmp_path)
    MolmoCheckpoint("mine/model").load(torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        MolmoCheckpoint("/nowhere/model")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("hub", "words"),
    [
        (Hub(OSError("no route to host\nand a page of advice")), "no route to host"),
        (Hub(ValueError("bad id")), "bad id"),
        (None, "pip install 'tierexp[hub]'"),
    ],
)
def test_a_hub_that_hands_nothing_out_is_one_line(
    hub: Hub | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, hub)
    outcome = run_eval("model=molmo_7b_o")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert words in outcome.err
    assert "model.checkpoint=DIR" in outcome.err
