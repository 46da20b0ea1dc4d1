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


@pytest.mark.parametrize("values", [MOLMOE_TINY, DENSE_TINY])
@pytest.mark.parametrize("key", ["rope_theta", "qkv_bias", "layer_norm_eps"])
def test_a_missing_size_is_named(values: dict[str, Any], key: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks '{key}'"):
        MolmoConfig.from_checkpoint_json({k: v for k, v in values.items() if k != key})


@pytest.mark.parametrize("value", ["64", 64.0, True, 0, -64, [64]])
def test_a_size_that_is_no_positive_number_is_named(value: object) -> None:
    with pytest.raises(CheckpointError, match="hidden_size"):
        MolmoConfig.from_checkpoint_json(DENSE_TINY | {"hidden_size": value})
