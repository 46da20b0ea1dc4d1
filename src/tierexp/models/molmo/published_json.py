"""Sizes as the `config.json` of published checkpoints spells them.

In: the decoded JSON, in either of the two styles: MolmoE's own (`d_model`, ...) and the
transformers style of the dense checkpoints (`hidden_size`, ...), which leaves the vision encoder
implicit. Out: the sizes of the parts; and the reverse. What is not implemented is refused by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from tierexp.errors import CheckpointError
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig, VisionConfig

PROJECTOR_KEY = "image_projector_hidden_size"
"""This project's own; the released checkpoints' projector is as wide as the MLP."""

_SHARED_KEYS = {
    "vocab_size": "embedding_size",
    "extra_vocab_size": "additional_vocab_size",
    "rope_theta": "rope_theta",
    "norm_eps": "layer_norm_eps",
    "qkv_bias": "qkv_bias",
    "qk_norm": "attention_layer_norm",
    "norm_after": "norm_after",
}
_MIXTURE_KEYS = _SHARED_KEYS | {
    "width": "d_model",
    "num_layers": "n_layers",
    "num_heads": "n_heads",
    "num_kv_heads": "n_kv_heads",
    "num_experts": "moe_num_experts",
    "top_k": "moe_top_k",
}
_DENSE_KEYS = _SHARED_KEYS | {
    "width": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
}
_MIXTURE_MLP, _DENSE_MLP = "mlp_hidden_size", "intermediate_size"
"""Twice the width of the MLP: both halves of its gated projection."""

_DENSE_EXTRA_VOCAB = 128
"""Ids added for images: the published code of the dense models states it, their files do not."""

_VISION_KEYS = {
    "patch_size": "image_patch_size",
    "width": "image_emb_dim",
    "num_layers": "image_num_layers",
    "num_heads": "image_num_heads",
    "mlp_width": "image_mlp_dim",
    "norm_eps": "image_norm_eps",
}
_VISION_DEFAULTS = {key: getattr(VisionConfig, name) for name, key in _VISION_KEYS.items()}

_SUPPORTED: dict[str, tuple[object, ...]] = {
    "activation_type": ("swiglu",),
    "alibi": (False,),
    "attn_logit_softcapping": (None,),
    "bias_for_layer_norm": (False,),
    "block_type": ("moe",),
    "clip_qkv": (None,),
    "final_logit_softcapping": (None,),
    "head_dim": (None,),
    "image_padding_embed": ("pad_and_partial_pad",),
    "image_pooling_2d": ("attention-meanq", "attention_meanq"),
    "image_projector": ("mlp",),
    "include_bias": (False,),
    "layer_norm_type": ("rms",),
    "moe_interleave": (False,),
    "moe_shared_expert": (False,),
    "normalize_input_embeds": (False,),
    "rope": (True,),
    "scale_logits": (False,),
    "tie_word_embeddings": (False,),
    "use_cls_feature": (False,),
    "weight_tying": (False,),
}
"""Keys that change what is computed, and the values that are implemented; absent is fine."""

_SUPPORTED_VISION: dict[str, tuple[object, ...]] = {
    "image_mlp_activations": ("quick_gelu",),
    "image_model_type": ("openai",),
}

_KINDS: dict[Any, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int,),
    "float": (int, float),
    "bool": (bool,),
}


def read_vision(values: Mapping[str, Any]) -> VisionConfig:
    """The vision encoder of a `config.json`; what it leaves out is ViT-L/14 at 336 pixels.

    Raises:
        CheckpointError: A value is of the wrong kind, contradicts another or is not implemented.
    """
    stated = values.get("vision_backbone", {})
    if not isinstance(stated, Mapping):
        raise CheckpointError("config.json: vision_backbone is not an object")
    _refuse_unsupported("vision_backbone.", stated, _SUPPORTED_VISION)
    side = VisionConfig.crop_size
    height, width = read_pair(stated, "image_default_input_size", (side, side))
    if height != width:
        raise CheckpointError(f"config.json: crops of {height} x {width} pixels are not square")
    layers = values.get("vit_layers", VisionConfig.feature_layers)
    sizes = {key: stated.get(key, default) for key, default in _VISION_DEFAULTS.items()}
    vision = VisionConfig(
        crop_size=height,
        feature_layers=tuple(_integer("vit_layers", layer) for layer in _items(layers)),
        **_fields(VisionConfig, _VISION_KEYS, sizes),
    )
    implied = {key: (value,) for key, value in _implied(vision).items()}
    _refuse_unsupported("vision_backbone.", stated, implied)
    return vision


def read_connector(values: Mapping[str, Any], mlp_width: int) -> ConnectorConfig:
    """The connector of a `config.json`; its projector is as wide as the MLP unless stated.

    Raises:
        CheckpointError: A value is not a whole number.
    """
    height, width = (
        _integer(key, values.get(key, 2)) for key in ("image_pooling_h", "image_pooling_w")
    )
    hidden_width = _integer(PROJECTOR_KEY, values.get(PROJECTOR_KEY, mlp_width))
    return ConnectorConfig(pooling=(height, width), hidden_width=hidden_width)


def read_decoder(values: Mapping[str, Any]) -> DecoderConfig:
    """The language model of a `config.json` in either style.

    Raises:
        CheckpointError: A size is missing, of the wrong kind, or of a model that is not
            implemented.
    """
    _refuse_unsupported("", values, _SUPPORTED)
    filled = dict(values)
    filled["embedding_size"] = values.get("embedding_size") or values.get("vocab_size")
    if "d_model" in values:
        keys, mlp_key = _MIXTURE_KEYS, _MIXTURE_MLP
        filled["n_kv_heads"] = values.get("n_kv_heads") or values.get("n_heads")
        if not values.get(mlp_key):
            ratio = _integer("mlp_ratio", values.get("mlp_ratio"))
            filled[mlp_key] = ratio * _integer("d_model", values["d_model"])
        experts: dict[str, Any] = {}
    else:
        keys, mlp_key = _DENSE_KEYS, _DENSE_MLP
        kv_heads = values.get("num_key_value_heads")
        filled.setdefault("additional_vocab_size", _DENSE_EXTRA_VOCAB)
        filled["num_key_value_heads"] = kv_heads or values.get("num_attention_heads")
        experts = {"num_experts": None, "top_k": None}
    mlp_width = _integer(mlp_key, filled.get(mlp_key)) // 2
    return DecoderConfig(mlp_width=mlp_width, **experts, **_fields(DecoderConfig, keys, filled))


def _fields(
    cls: type[VisionConfig | DecoderConfig], keys: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a configuration by name, looked up under their published keys."""
    kinds = {field.name: _KINDS[field.type] for field in fields(cls) if field.name in keys}
    read = {}
    for name, key in keys.items():
        value, kind = values.get(key), kinds[name]
        if value is None:
            raise CheckpointError(f"config.json lacks {key!r}")
        if type(value) not in kind:
            raise CheckpointError(f"config.json: {key}={value!r} is not {kind[-1].__name__}")
        if kind != (bool,) and value <= 0:
            raise CheckpointError(f"config.json: {key}={value!r} is not above 0")
        read[name] = value
    return read


def _integer(key: str, value: object) -> int:
    if value is None:
        raise CheckpointError(f"config.json lacks {key!r}")
    if not isinstance(value, int) or isinstance(value, bool):
        raise CheckpointError(f"config.json: {key}={value!r} is not a whole number")
    return value


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


def read_pair(values: Mapping[str, Any], key: str, default: tuple[int, int]) -> tuple[int, int]:
    """Two whole numbers.

    Raises:
        CheckpointError: The value is something else.
    """
    numbers = [_integer(key, number) for number in _items(values.get(key, default))]
    if len(numbers) != 2:
        raise CheckpointError(f"config.json: {key}={values[key]!r} is not two numbers")
    return numbers[0], numbers[1]


def decoder_json(decoder: DecoderConfig) -> dict[str, Any]:
    """What `read_decoder` reads back, in the style of the decoder's kind."""
    dense = decoder.num_experts is None
    keys, mlp_key = (_DENSE_KEYS, _DENSE_MLP) if dense else (_MIXTURE_KEYS, _MIXTURE_MLP)
    sizes = {key: getattr(decoder, name) for name, key in keys.items()}
    return {"vocab_size": decoder.vocab_size, **sizes, mlp_key: 2 * decoder.mlp_width}


def connector_json(connector: ConnectorConfig) -> dict[str, Any]:
    """What `read_connector` reads back."""
    return {
        "image_pooling_h": connector.pooling[0],
        "image_pooling_w": connector.pooling[1],
        PROJECTOR_KEY: connector.hidden_width,
    }


def vision_json(vision: VisionConfig) -> dict[str, Any]:
    """What `read_vision` reads back."""
    return {
        "vit_layers": list(vision.feature_layers),
        "vision_backbone": {
            "image_default_input_size": [vision.crop_size, vision.crop_size],
            **{key: getattr(vision, name) for name, key in _VISION_KEYS.items()},
            **_implied(vision),
        },
    }


def _implied(vision: VisionConfig) -> dict[str, int]:
    """Sizes that the published vision configuration states although others imply them."""
    return {
        "image_num_key_value_heads": vision.num_heads,
        "image_head_dim": vision.width // vision.num_heads,
        "image_num_pos": vision.patches_per_side**2 + 1,
    }


def _refuse_unsupported(
    prefix: str, values: Mapping[str, Any], supported: Mapping[str, tuple[object, ...]]
) -> None:
    for key, implemented in supported.items():
        if key in values and values[key] not in implemented:
            raise CheckpointError(
                f"config.json: {prefix}{key}={values[key]!r} is not implemented, "
                f"only {' or '.join(map(repr, implemented))}"
            )
