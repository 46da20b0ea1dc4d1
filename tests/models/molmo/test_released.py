"""The four released checkpoints: their published `config.json`, their tensors, and the options of
`model` that name them, which refuse each other's folders."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import tierexp
from tests.support.command_line import run_eval
from tests.support.molmo_models import small_config
from tierexp.api.composition import model_and_resize
from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.released import RELEASED
from tierexp.models.molmo.sizes import VisionConfig
from tierexp.models.molmo.weights import released_tensors
from tierexp.tiers.geometry import CropGeometry

DENSE: dict[str, Any] = {
    "architectures": ["MolmoForCausalLM"],
    "auto_map": {
        "AutoConfig": "config_molmo.MolmoConfig",
        "AutoModelForCausalLM": "modeling_molmo.MolmoForCausalLM",
    },
    "clip_qkv": None,
    "initializer_range": 0.02,
    "layer_norm_type": "rms",
    "max_position_embeddings": 4096,
    "model_type": "molmo",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "transformers_version": "4.43.3",
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
        "auto_map": {
            "AutoConfig": "config_molmoe.MolmoConfig",
            "AutoModelForCausalLM": "modeling_molmoe.MolmoForCausalLM",
        },
        "activation_type": "swiglu",
        "additional_vocab_size": 128,
        "alibi": False,
        "alibi_bias_max": 8.0,
        "always_start_with_space": True,
        "architectures": ["OLMoForCausalLM"],
        "attention_dropout": 0.0,
        "attention_layer_norm": True,
        "attention_layer_norm_with_affine": True,
        "attention_type": "sdpa",
        "attn_logit_softcapping": None,
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "moe",
        "clip_qkv": None,
        "crop_mode": "overlap-and-resize-c2",
        "d_model": 2048,
        "default_inference_len": 65,
        "do_random_scale": False,
        "embedding_dropout": 0.0,
        "embedding_size": 50304,
        "final_logit_softcapping": None,
        "fix_image_input_idx": 2,
        "float32_attention": True,
        "gin_bindings": None,
        "head_dim": None,
        "image_feature_dropout": 0.0,
        "image_padding_embed": "pad_and_partial_pad",
        "image_pooling_2d": "attention-meanq",
        "image_pooling_h": 2,
        "image_pooling_w": 2,
        "image_projector": "mlp",
        "include_bias": False,
        "init_cutoff_factor": 3.0,
        "init_device": "meta",
        "init_fn": "normal",
        "init_std": 0.02,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-05,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "llm_load_path": None,
        "loss_token_weighting": "root_subsegments",
        "low_cpu_fsdp": True,
        "max_crops": 12,
        "max_position_embeddings": 32768,
        "max_sequence_length": 4096,
        "message_formatting": "role",
        "mlp_hidden_size": None,
        "mlp_ratio": 1,
        "model_type": "molmo",
        "moe_capacity_factor": 1.25,
        "moe_dropless": True,
        "moe_interleave": False,
        "moe_lbl_in_fp32": False,
        "moe_log_expert_assignment": False,
        "moe_loss_weight": 0.0,
        "moe_mlp_impl": "sparse",
        "moe_num_experts": 64,
        "moe_shared_expert": False,
        "moe_top_k": 8,
        "moe_zloss_weight": 0.0,
        "multi_query_attention": None,
        "n_heads": 16,
        "n_kv_heads": None,
        "n_layers": 16,
        "new_embedding_init_range": 0.02,
        "norm_after": False,
        "normalize_input_embeds": False,
        "overlap_margins": [4, 4],
        "pad_to": None,
        "pad_token_id": 1,
        "pad_tokenizer": False,
        "precision": "amp_bf16",
        "prompt_override": None,
        "prompt_type": "uber_model",
        "qkv_bias": False,
        "query_pre_attn_scalar": 224,
        "residual_dropout": 0.1,
        "response_attention_dropout": 0.0,
        "response_residual_dropout": 0.0,
        "rope": True,
        "rope_full_precision": True,
        "rope_impl": "llama",
        "rope_theta": 10000.0,
        "scale_logits": False,
        "system_prompt_kind": "demo_or_style",
        "transformers_version": "4.45.0.dev0",
        "unconditioned": False,
        "use_cache": True,
        "use_cls_feature": False,
        "use_col_tokens": True,
        "use_position_ids": True,
        "vision_backbone": {
            "attention_dropout": 0.0,
            "fsdp_wrap": False,
            "image_default_input_size": [336, 336],
            "image_dropout_rate": 0.0,
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
            "image_pos_patch_size": 14,
            "initializer_range": 0.02,
            "residual_dropout": 0.0,
            "resize_mode": "default",
        },
        "vit_layers": [-2, -9],
        "vit_load_path": None,
        "vocab_size": 50280,
        "weight_tying": False,
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
"""Every key as published. The dense ones say nothing of vision, nor of the 128 ids added for
images: their code does."""

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


IDS = {
    "molmoe_1b": (50280, 50304, 50279),
    "molmo_7b_d": (152064, 152064, 151643),
    "molmo_7b_o": (100278, 100352, 100257),
    "molmo_72b": (152064, 152064, 151643),
}
"""Published numbers of ids: of text and its fillers, where the special tokens of images begin; rows
of the first embedding, to which the second adds 128; and the end of text."""


def write_tokenizer(folder: Path, vocab_size: int, end_of_text: int) -> None:
    """Laid out as the published ones: bytes, other text, the end of it, fillers, image tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    text = [*alphabet, *(f"w{n}" for n in range(len(alphabet), end_of_text))]
    tokenizer = Tokenizer(models.BPE({token: n for n, token in enumerate(text)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fill = (f"|<EXTRA_TOKENS_{n}>|" for n in range(vocab_size - end_of_text - 1))
    images = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<|image|>")
    special = [AddedToken(token, special=True) for token in ("<|endoftext|>", *fill, *images)]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(autouse=True, scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the checkpoints are that were written before."""
    KEPT.append(tmp_path_factory.mktemp("small"))


KEPT: list[Path] = []


def small_checkpoint(option: str, folder: Path) -> Path:
    """With as many ids as published."""
    if not (KEPT[-1] / option).exists():
        _write_small_checkpoint(option, KEPT[-1] / option)
    return shutil.copytree(KEPT[-1] / option, folder, dirs_exist_ok=True)


def _write_small_checkpoint(option: str, folder: Path) -> None:
    kind, changes = SMALL[option]
    vocab_size, embedding_size, end_of_text = IDS[option]
    torch.manual_seed(0)
    sizes = changes | {"vocab_size": embedding_size, "extra_vocab_size": 128}
    model = Molmo(small_config(kind, **sizes))
    save_checkpoint(model, folder, torch.float16)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": vocab_size}))
    kept_tokenizer(folder, vocab_size, end_of_text)


def kept_tokenizer(folder: Path, vocab_size: int, end_of_text: int) -> None:
    """Two of the releases share theirs, of 150,000 tokens."""
    kept = KEPT[-1] / f"tokenizer_{vocab_size}"
    if not kept.exists():
        kept.mkdir()
        write_tokenizer(kept, vocab_size, end_of_text)
    shutil.copy(kept / "tokenizer.json", folder)


@pytest.mark.whole
@pytest.mark.parametrize("option", OPTIONS)
def test_a_small_checkpoint_with_the_published_ids_answers(option: str, tmp_path: Path) -> None:
    folder = small_checkpoint(option, tmp_path)
    model = tierexp.load_model(option, checkpoint=folder, device="cpu", max_new_tokens=2)
    answers = model.answer(
        [np.zeros((90, 120, 3), np.uint8)] * 2, ["What?", "How many?"], tier="low"
    )
    assert {len(answer.text) > 0 for answer in answers} == {True}
    assert (model.source.name, model.source.knob_values["top_k"]) == (
        option, 2 if option == "molmoe_1b" else None,
    )  # fmt: skip


@pytest.mark.whole
def test_an_evaluation_names_its_option(tmp_path: Path) -> None:
    folder = small_checkpoint("molmoe_1b", tmp_path / "checkpoint")
    outcome = run_eval(
        "model=molmoe_1b", f"model.checkpoint={folder}", "model.max_new_tokens=2",
        "data.max_samples=2", "data.num_workers=0", "tier=fixed_288", "trainer=cpu", "logger=none",
        f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (file,) = (tmp_path / "out").glob("*_tier-*.json")
    results = json.loads(file.read_text())
    assert (results["model"], results["num_samples"], results["top_k"]) == ("molmoe_1b", 2, 2)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("option", "table"), [("molmoe_1b", "embedding"), ("molmo_7b_d", "new_embedding")]
)
def test_image_tokens_begin_at_the_published_vocab_size(
    option: str, table: str, tmp_path: Path
) -> None:
    """In spare rows of the first embedding where it is longer than the vocabulary."""
    vocab_size, embedding_size, end_of_text = IDS[option]
    source = MolmoCheckpoint(str(small_checkpoint(option, tmp_path)))
    tokenizer = source.tokenizer()
    ids = tokenizer.image_tokens
    assert (ids.im_start, ids.im_end) == (vocab_size, vocab_size + 1)
    assert (ids.im_patch, ids.im_col) == (vocab_size + 2, vocab_size + 3)
    assert tokenizer.before_image == [end_of_text]
    wte = source.load(torch.device("cpu")).network.transformer.wte
    row = ids.im_patch if table == "embedding" else ids.im_patch - embedding_size
    embedded = wte(torch.tensor([[ids.im_patch]]))[0, 0]
    assert torch.equal(embedded, getattr(wte, table)[row])


def test_a_folder_of_another_kind_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = small_checkpoint("molmoe_1b", tmp_path)
    (folder / "model.safetensors").unlink()
    for option in ("molmo_7b_d", "molmo_7b_o", "molmo_72b"):
        with pytest.raises(ConfigError, match="not a mixture of experts") as caught:
            model_and_resize(option, {"checkpoint": str(folder)})
        assert "\n" not in str(caught.value)


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


@pytest.mark.whole
def test_a_tokenizer_of_another_model_is_refused_before_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_checkpoint("molmoe_1b", tmp_path / "a1b2c3")
    kept_tokenizer(folder, *IDS["molmo_7b_d"][::2])
    (folder / "model.safetensors").unlink()
    hub = Hub(folder)
    use_hub(monkeypatch, hub)
    source = MolmoCheckpoint("allenai/MolmoE-1B-0924")
    complaint = r"'<\|image\|>' at 152068, the model's embeddings end at 50431"
    with pytest.raises(CheckpointError, match=complaint):
        source.load(torch.device("cpu"))
    with pytest.raises(CheckpointError, match=complaint):
        _ = source.weights
    assert len(hub.asked) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("rope_scaling", {"type": "yarn"}), ("quantization_config", {"bits": 4})]
)
def test_a_key_that_is_not_implemented_is_one_line_before_weights_are_fetched(
    key: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED["Molmo-7B-D-0924"] | {key: value}))
    hub = Hub(tmp_path)
    use_hub(monkeypatch, hub)
    with pytest.raises(ConfigError) as caught:
        model_and_resize("molmo_7b_d", {})
    assert f"config.json: {key}={value!r} is not implemented" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(hub.asked) == 1


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
