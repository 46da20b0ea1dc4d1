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
from tierexp.models.config_keys import KnownKeys
from tierexp.models.molmo.known_keys import (
    IMPLEMENTED,
    MIXTURE_IMPLEMENTED,
    MIXTURE_UNUSED,
    UNUSED,
    VISION_IMPLEMENTED,
    VISION_UNUSED,
)
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig, VisionConfig

PROJECTOR_KEY = "image_projector_hidden_size"
"""This project's own; the released checkpoints' projector is as wide as the MLP."""

MASK_ORDER_KEY = "image_mask_order"
"""This project's own; the released checkpoints' masks are shifted."""

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
_MLP_RATIO = "mlp_ratio"
"""The same as a multiple of the width, where it is not stated."""

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
_OTHER_KEYS = frozenset(
    {
        "vocab_size", "overlap_margins", MASK_ORDER_KEY, "image_pooling_h", "image_pooling_w",
        PROJECTOR_KEY, "vit_layers", "vision_backbone",
    }
)  # fmt: skip
_IMPLIED_KEYS = (
    "image_num_key_value_heads",
    "image_head_dim",
    "image_num_pos",
    "image_pos_patch_size",
)
_VISION_DEFAULTS = {key: getattr(VisionConfig, name) for name, key in _VISION_KEYS.items()}

_KINDS: dict[Any, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int,),
    "float": (int, float),
    "bool": (bool,),
}


def refuse_unimplemented(values: Mapping[str, Any]) -> None:
    """Refuse a `config.json` that asks for what is not implemented, or not known, by its key.

    Raises:
        CheckpointError: It does.
    """
    if _is_mixture(values):
        sizes = {*_MIXTURE_KEYS.values(), _MIXTURE_MLP, _MLP_RATIO}
        known = KnownKeys(
            sizes | _OTHER_KEYS, IMPLEMENTED | MIXTURE_IMPLEMENTED, UNUSED | MIXTURE_UNUSED
        )
    else:
        known = KnownKeys({*_DENSE_KEYS.values(), _DENSE_MLP} | _OTHER_KEYS, IMPLEMENTED, UNUSED)
    known.refuse_others(values)
    vision = values.get("vision_backbone")
    if isinstance(vision, Mapping):
        sizes = {*_VISION_KEYS.values(), "image_default_input_size", *_IMPLIED_KEYS}
        KnownKeys(sizes, VISION_IMPLEMENTED, VISION_UNUSED).refuse_others(
            vision, "vision_backbone."
        )


def read_vision(values: Mapping[str, Any]) -> VisionConfig:
    """The vision encoder of a `config.json`; what it leaves out is ViT-L/14 at 336 pixels.

    Raises:
        CheckpointError: A value is of the wrong kind, contradicts another or is not implemented.
    """
    stated = values.get("vision_backbone", {})
    if not isinstance(stated, Mapping):
        raise CheckpointError("config.json: vision_backbone is not an object")
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
    for key, value in _implied(vision).items():
        if stated.get(key, value) != value:
            raise CheckpointError(
                f"config.json: vision_backbone.{key}={stated[key]!r} is not implemented, "
                f"only {value} with the other sizes"
            )
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
    filled = dict(values)
    filled["embedding_size"] = values.get("embedding_size") or values.get("vocab_size")
    if _is_mixture(values):
        keys, mlp_key = _MIXTURE_KEYS, _MIXTURE_MLP
        filled["n_kv_heads"] = values.get("n_kv_heads") or values.get("n_heads")
        if not values.get(mlp_key):
            ratio = _integer(_MLP_RATIO, values.get(_MLP_RATIO))
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


def _is_mixture(values: Mapping[str, Any]) -> bool:
    return "d_model" in values


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
    sizes = (
        vision.num_heads,
        vision.width // vision.num_heads,
        vision.patches_per_side**2 + 1,
        vision.patch_size,
    )
    return dict(zip(_IMPLIED_KEYS, sizes, strict=True))
