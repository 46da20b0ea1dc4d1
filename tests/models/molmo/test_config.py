"""`config.json` in both published styles, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.molmo_models import KINDS, small_config
from tierexp.errors import CheckpointError
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.sizes import VisionConfig
from tierexp.tiers.geometry import CropGeometry

GOLDEN = Path(__file__).parents[2] / "golden"
MOLMOE_TINY = json.loads((GOLDEN / "molmoe-tiny" / "config.json").read_text())
DENSE_TINY = json.loads((GOLDEN / "molmo-dense-tiny" / "config.json").read_text())


def test_a_config_without_vision_means_the_large_clip_encoder() -> None:
    values = {k: v for k, v in DENSE_TINY.items() if k not in ("vision_backbone", "vit_layers")}
    config = MolmoConfig.from_checkpoint_json(values)
    assert config.vision == VisionConfig()
    assert config.geometry == CropGeometry()
    assert config.mask_order == "shifted"


def test_the_dense_releases_do_not_state_the_ids_added_for_images() -> None:
    """Their published code makes room for 128."""
    values = {k: v for k, v in DENSE_TINY.items() if k != "additional_vocab_size"}
    assert MolmoConfig.from_checkpoint_json(values).decoder.extra_vocab_size == 128
    with pytest.raises(CheckpointError, match="lacks 'additional_vocab_size'"):
        MolmoConfig.from_checkpoint_json(
            {k: v for k, v in MOLMOE_TINY.items() if k != "additional_vocab_size"}
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_survives_writing_and_reading(kind: str) -> None:
    config = small_config(kind)
    written = json.loads(json.dumps(config.to_checkpoint_json()))
    assert MolmoConfig.from_checkpoint_json(written) == config


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"weight_tying": True}, "weight_tying"),
        ({"layer_norm_type": "default"}, "layer_norm_type"),
        ({"image_pooling_2d": "none"}, "image_pooling_2d"),
        ({"moe_top_k": 9}, "moe_top_k"),
        ({"n_heads": 5}, "heads"),
        ({"n_kv_heads": 3}, "key heads"),
        ({"vit_layers": [-5]}, "vit_layers"),
        ({"image_mask_order": "sideways"}, "sideways"),
        ({"vision_backbone": {"image_model_type": "siglip"}}, "siglip"),
        ({"vision_backbone": {"image_num_pos": 730}}, "image_num_pos"),
        ({"vision_backbone": {"image_default_input_size": [336, 224]}}, "square"),
        ({"vision_backbone": {"image_patch_size": 13, "image_num_pos": 626}}, "crop_size"),
        ({"vision_backbone": 3}, "vision_backbone"),
        ({"vit_layers": "last"}, "vit_layers"),
        ({"overlap_margins": [4]}, "overlap_margins"),
        ({"overlap_margins": [12, 12]}, "overlap_margins"),
    ],
)
def test_what_is_not_implemented_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint) as error:
        MolmoConfig.from_checkpoint_json(MOLMOE_TINY | changes)
    assert "\n" not in str(error.value)


CHANGES_WHAT_IS_COMPUTED: dict[str, Any] = {
    "activation_type": "gelu",
    "alibi": True,
    "always_start_with_space": False,
    "attention_layer_norm_with_affine": False,
    "attn_logit_softcapping": 50.0,
    "bias_for_layer_norm": True,
    "block_group_size": 2,
    "clip_qkv": 8.0,
    "crop_mode": "resize",
    "eos_token_id": 7,
    "final_logit_softcapping": 30.0,
    "fix_image_input_idx": 1,
    "float32_attention": False,
    "gin_bindings": "x",
    "head_dim": 128,
    "hidden_act": "gelu",
    "include_bias": True,
    "layer_norm_with_affine": False,
    "message_formatting": "none",
    "multi_query_attention": True,
    "normalize_input_embeds": True,
    "pad_to": 2048,
    "pad_tokenizer": True,
    "prompt_override": "Describe this.",
    "prompt_type": "none",
    "quantization_config": {"quant_method": "awq", "bits": 4},
    "query_pre_attn_scalar": 256,
    "rope": False,
    "rope_full_precision": False,
    "rope_impl": "interleave",
    "rope_scaling": {"type": "yarn", "factor": 4.0},
    "scale_logits": True,
    "sliding_window": 4096,
    "system_prompt_kind": "style",
    "tie_word_embeddings": True,
    "unconditioned": True,
    "use_cls_feature": True,
    "use_col_tokens": False,
    "use_position_ids": False,
    "use_sliding_window": True,
    "weight_tying": True,
    "a key of tomorrow\n": 1,
}
OF_A_MIXTURE = {
    "block_type": "llama", "moe_dropless": False, "moe_interleave": True, "moe_shared_expert": True,
    "hidden_size": 64,
}  # fmt: skip
OF_DENSE = {"moe_num_experts": 8, "moe_top_k": 2, "block_type": "moe", "mlp_ratio": 4}
OF_VISION = {
    "image_mlp_activations": "gelu", "image_model_type": "siglip", "image_pos_patch_size": 16,
    "resize_mode": "siglip", "use_abs_pos": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "key", "value"),
    [(v, *change) for v in (MOLMOE_TINY, DENSE_TINY) for change in CHANGES_WHAT_IS_COMPUTED.items()]
    + [(MOLMOE_TINY, *change) for change in OF_A_MIXTURE.items()]
    + [(DENSE_TINY, *change) for change in OF_DENSE.items()],
)
def test_a_key_that_changes_what_is_computed_is_refused_by_name(
    values: dict[str, Any], key: str, value: object
) -> None:
    MolmoConfig.from_checkpoint_json(values)
    with pytest.raises(CheckpointError, match=f"{key.strip()}.*=.* not implemented") as error:
        MolmoConfig.from_checkpoint_json(values | {key: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("key", "value"), OF_VISION.items())
def test_such_a_key_of_the_vision_encoder_too(key: str, value: object) -> None:
    vision = MOLMOE_TINY["vision_backbone"] | {key: value}
    with pytest.raises(CheckpointError, match=rf"vision_backbone\.{key}=.* not implemented"):
        MolmoConfig.from_checkpoint_json(MOLMOE_TINY | {"vision_backbone": vision})


def test_what_only_training_reads_is_of_no_consequence() -> None:
    changes = {"max_crops": 3, "residual_dropout": 0.5, "init_fn": "mitchell", "pad_token_id": 9}
    changed = MolmoConfig.from_checkpoint_json(MOLMOE_TINY | changes)
    assert changed == MolmoConfig.from_checkpoint_json(MOLMOE_TINY)


@pytest.mark.parametrize("values", [MOLMOE_TINY, DENSE_TINY])
@pytest.mark.parametrize("key", ["rope_theta", "qkv_bias", "layer_norm_eps"])
def test_a_missing_size_is_named(values: dict[str, Any], key: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks '{key}'"):
        MolmoConfig.from_checkpoint_json({k: v for k, v in values.items() if k != key})


@pytest.mark.parametrize("value", ["64", 64.0, True, 0, -64, [64]])
def test_a_size_that_is_no_positive_number_is_named(value: object) -> None:
    with pytest.raises(CheckpointError, match="hidden_size"):
        MolmoConfig.from_checkpoint_json(DENSE_TINY | {"hidden_size": value})
