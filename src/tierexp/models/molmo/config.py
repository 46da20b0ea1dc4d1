"""Every size of a Molmo model, read from the `config.json` of its checkpoint.

In: the decoded JSON, in either of the two published styles: MolmoE's own (`d_model`,
`vision_backbone`, ...) and the transformers style of the dense checkpoints (`hidden_size`, ...),
which leaves the vision encoder implicit. Out: frozen dataclasses with one name per size. Knows
nothing about tensors, so that a run can be described without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from tierexp.errors import CheckpointError
from tierexp.geometry import CropGeometry
from tierexp.imaging.crops import MaskOrder


@dataclass(frozen=True)
class VisionConfig:
    """The CLIP vision transformer; the defaults are ViT-L/14 at 336 pixels.

    Args:
        crop_size: Side of a crop, in pixels.
        patch_size: Side of a patch, in pixels.
        width: Channels of a patch.
        num_layers: Transformer blocks.
        num_heads: Attention heads, of the connector's pooling too.
        mlp_width: Hidden channels of a block's MLP.
        norm_eps: Of the layer norms.
        feature_layers: The blocks whose outputs, concatenated on channels, are the features;
            counted from the end where negative.
    """

    crop_size: int = 336
    patch_size: int = 14
    width: int = 1024
    num_layers: int = 23
    num_heads: int = 16
    mlp_width: int = 4096
    norm_eps: float = 1e-5
    feature_layers: tuple[int, ...] = (-2, -9)

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop."""
        return self.crop_size // self.patch_size

    @property
    def feature_width(self) -> int:
        """Channels of one patch's features."""
        return self.width * len(self.feature_layers)


@dataclass(frozen=True)
class ConnectorConfig:
    """From patch features to vision tokens.

    Args:
        pooling: Patches pooled into one vision token, (height, width).
        hidden_width: Hidden channels of the projector.
    """

    pooling: tuple[int, int]
    hidden_width: int


@dataclass(frozen=True)
class DecoderConfig:
    """The language model.

    Args:
        vocab_size: Rows of the token embedding; the logits are over these.
        extra_vocab_size: Rows of the second embedding: the ids from `vocab_size` on, which are
            read but never generated.
        width: Channels of a token.
        num_layers: Transformer blocks.
        num_heads: Query heads.
        num_kv_heads: Key and value heads.
        mlp_width: Hidden channels of the MLP, or of one expert.
        num_experts: Experts per block; None for a dense model.
        top_k: Experts that a token visits; None for a dense model.
        rope_theta: Base of the rotary frequencies.
        norm_eps: Of the RMS norms.
        qkv_bias: The fused query-key-value projection has a bias.
        qk_norm: Queries and keys are normalised over their full width.
        norm_after: Sublayers normalise their output instead of their input.
    """

    vocab_size: int
    extra_vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    mlp_width: int
    num_experts: int | None
    top_k: int | None
    rope_theta: float
    norm_eps: float
    qkv_bias: bool
    qk_norm: bool
    norm_after: bool

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.num_heads


@dataclass(frozen=True)
class MolmoConfig:
    """A whole model.

    Args:
        vision: The vision encoder.
        connector: What turns its features into vision tokens.
        decoder: The language model.
        overlap_margins: Of the crops it was trained on (`CropGeometry`).
        mask_order: The order of patch-mask rows it was trained on.
    """

    vision: VisionConfig
    connector: ConnectorConfig
    decoder: DecoderConfig
    overlap_margins: tuple[int, int] = (4, 4)
    mask_order: MaskOrder = "shifted"

    @property
    def geometry(self) -> CropGeometry:
        """The crops the model takes."""
        return CropGeometry(
            crop_size=self.vision.crop_size,
            patch_size=self.vision.patch_size,
            overlap_margins=self.overlap_margins,
            pooling=self.connector.pooling,
        )

    @classmethod
    def from_checkpoint_json(cls, values: Mapping[str, Any]) -> MolmoConfig:
        """Read a decoded `config.json`.

        Two keys are this project's own: `image_mask_order` (`aligned` or `shifted`; the released
        checkpoints lack it and are shifted) and `image_projector_hidden_size` (the released ones
        lack it: the projector is as wide as the MLP).

        Raises:
            CheckpointError: Not the configuration of a Molmo model, a size is missing or does not
                fit another, or the model is of a kind that is not implemented.
        """
        if values.get("model_type", "molmo") != "molmo":
            raise CheckpointError(f"config.json: model_type={values['model_type']!r} is not molmo")
        for key, supported in _SUPPORTED.items():
            if key in values and values[key] not in supported:
                raise CheckpointError(
                    f"config.json: {key}={values[key]!r} is not implemented, "
                    f"only {' or '.join(map(repr, supported))}"
                )
        try:
            decoder = _mixture(values) if "d_model" in values else _dense(values)
            vision = _vision(values.get("vision_backbone", {}), values.get("vit_layers", (-2, -9)))
            config = cls(
                vision=vision,
                connector=ConnectorConfig(
                    pooling=(values.get("image_pooling_h", 2), values.get("image_pooling_w", 2)),
                    hidden_width=values.get("image_projector_hidden_size", decoder.mlp_width),
                ),
                decoder=decoder,
                overlap_margins=_pair(values.get("overlap_margins", (4, 4))),
                mask_order=values.get("image_mask_order", "shifted"),
            )
        except KeyError as missing:
            raise CheckpointError(f"config.json lacks {missing.args[0]!r}") from None
        _check(config)
        return config

    def to_checkpoint_json(self) -> dict[str, Any]:
        """What `from_checkpoint_json` reads back as this configuration, in the published style of
        its kind.
        """
        values = _mixture_json(self.decoder) if self.decoder.num_experts else _dense_json(self)
        vision = self.vision
        return values | {
            "model_type": "molmo",
            "image_pooling_h": self.connector.pooling[0],
            "image_pooling_w": self.connector.pooling[1],
            "image_projector_hidden_size": self.connector.hidden_width,
            "overlap_margins": list(self.overlap_margins),
            "image_mask_order": self.mask_order,
            "vit_layers": list(vision.feature_layers),
            "vision_backbone": {
                "image_default_input_size": [vision.crop_size, vision.crop_size],
                "image_patch_size": vision.patch_size,
                "image_emb_dim": vision.width,
                "image_num_layers": vision.num_layers,
                "image_num_heads": vision.num_heads,
                "image_num_key_value_heads": vision.num_heads,
                "image_head_dim": vision.width // vision.num_heads,
                "image_mlp_dim": vision.mlp_width,
                "image_norm_eps": vision.norm_eps,
                "image_num_pos": vision.patches_per_side**2 + 1,
            },
        }


_SUPPORTED: dict[str, tuple[object, ...]] = {
    "activation_type": ("swiglu",),
    "alibi": (False,),
    "block_type": ("moe",),
    "clip_qkv": (None,),
    "image_padding_embed": ("pad_and_partial_pad",),
    "image_pooling_2d": ("attention-meanq", "attention_meanq"),
    "image_projector": ("mlp",),
    "layer_norm_type": ("rms",),
    "rope": (True,),
    "tie_word_embeddings": (False,),
    "use_cls_feature": (False,),
    "weight_tying": (False,),
}
"""Keys that change what is computed, and the values that are implemented; absent is fine."""


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _vision(values: Mapping[str, Any], feature_layers: Sequence[int]) -> VisionConfig:
    default = VisionConfig()
    size = values.get("image_default_input_size", (default.crop_size, default.crop_size))
    vision = VisionConfig(
        crop_size=size[0],
        patch_size=values.get("image_patch_size", default.patch_size),
        width=values.get("image_emb_dim", default.width),
        num_layers=values.get("image_num_layers", default.num_layers),
        num_heads=values.get("image_num_heads", default.num_heads),
        mlp_width=values.get("image_mlp_dim", default.mlp_width),
        norm_eps=values.get("image_norm_eps", default.norm_eps),
        feature_layers=tuple(feature_layers),
    )
    expected = {
        "image_default_input_size": [vision.crop_size, vision.crop_size],
        "image_num_key_value_heads": vision.num_heads,
        "image_head_dim": vision.width // vision.num_heads,
        "image_num_pos": vision.patches_per_side**2 + 1,
        "image_mlp_activations": "quick_gelu",
        "image_model_type": "openai",
    }
    for key, value in expected.items():
        if values.get(key, value) != value:
            raise CheckpointError(
                f"config.json: vision_backbone.{key}={values[key]!r} is not implemented, "
                f"only {value!r}"
            )
    return vision


def _mixture(values: Mapping[str, Any]) -> DecoderConfig:
    mlp_size = values.get("mlp_hidden_size") or values["mlp_ratio"] * values["d_model"]
    return DecoderConfig(
        vocab_size=values.get("embedding_size") or values["vocab_size"],
        extra_vocab_size=values["additional_vocab_size"],
        width=values["d_model"],
        num_layers=values["n_layers"],
        num_heads=values["n_heads"],
        num_kv_heads=values.get("n_kv_heads") or values["n_heads"],
        mlp_width=mlp_size // 2,
        num_experts=values["moe_num_experts"],
        top_k=values["moe_top_k"],
        rope_theta=values["rope_theta"],
        norm_eps=values["layer_norm_eps"],
        qkv_bias=values["qkv_bias"],
        qk_norm=values["attention_layer_norm"],
        norm_after=values["norm_after"],
    )


def _mixture_json(decoder: DecoderConfig) -> dict[str, Any]:
    return {
        "architectures": ["OLMoForCausalLM"],
        "block_type": "moe",
        "vocab_size": decoder.vocab_size,
        "embedding_size": decoder.vocab_size,
        "additional_vocab_size": decoder.extra_vocab_size,
        "d_model": decoder.width,
        "n_layers": decoder.num_layers,
        "n_heads": decoder.num_heads,
        "n_kv_heads": decoder.num_kv_heads,
        "mlp_hidden_size": 2 * decoder.mlp_width,
        "moe_num_experts": decoder.num_experts,
        "moe_top_k": decoder.top_k,
        "rope_theta": decoder.rope_theta,
        "layer_norm_eps": decoder.norm_eps,
        "qkv_bias": decoder.qkv_bias,
        "attention_layer_norm": decoder.qk_norm,
        "norm_after": decoder.norm_after,
    }


def _dense(values: Mapping[str, Any]) -> DecoderConfig:
    return DecoderConfig(
        vocab_size=values.get("embedding_size") or values["vocab_size"],
        extra_vocab_size=values.get("additional_vocab_size", 128),
        width=values["hidden_size"],
        num_layers=values["num_hidden_layers"],
        num_heads=values["num_attention_heads"],
        num_kv_heads=values.get("num_key_value_heads") or values["num_attention_heads"],
        mlp_width=values["intermediate_size"] // 2,
        num_experts=None,
        top_k=None,
        rope_theta=values["rope_theta"],
        norm_eps=values["layer_norm_eps"],
        qkv_bias=values["qkv_bias"],
        qk_norm=values["attention_layer_norm"],
        norm_after=values["norm_after"],
    )


def _dense_json(config: MolmoConfig) -> dict[str, Any]:
    decoder = config.decoder
    return {
        "architectures": ["MolmoForCausalLM"],
        "vocab_size": decoder.vocab_size,
        "embedding_size": decoder.vocab_size,
        "additional_vocab_size": decoder.extra_vocab_size,
        "hidden_size": decoder.width,
        "num_hidden_layers": decoder.num_layers,
        "num_attention_heads": decoder.num_heads,
        "num_key_value_heads": decoder.num_kv_heads,
        "intermediate_size": 2 * decoder.mlp_width,
        "rope_theta": decoder.rope_theta,
        "layer_norm_eps": decoder.norm_eps,
        "qkv_bias": decoder.qkv_bias,
        "attention_layer_norm": decoder.qk_norm,
        "norm_after": decoder.norm_after,
    }


def _check(config: MolmoConfig) -> None:
    vision, decoder = config.vision, config.decoder
    layers = range(-vision.num_layers, vision.num_layers)
    refusals = {
        f"heads ({vision.num_heads}) do not divide the vision width ({vision.width})": (
            vision.width % vision.num_heads
        ),
        f"heads ({decoder.num_heads}) do not divide the width ({decoder.width})": (
            decoder.width % decoder.num_heads
        ),
        f"key heads ({decoder.num_kv_heads}) do not divide the heads ({decoder.num_heads})": (
            decoder.num_heads % decoder.num_kv_heads
        ),
        f"vit_layers {list(vision.feature_layers)} are not among {vision.num_layers} layers": (
            not vision.feature_layers or any(n not in layers for n in vision.feature_layers)
        ),
        f"moe_top_k={decoder.top_k} is not from 1 to moe_num_experts={decoder.num_experts}": (
            decoder.num_experts is not None and not 1 <= (decoder.top_k or 0) <= decoder.num_experts
        ),
        f"image_mask_order={config.mask_order!r} is not one of {', '.join(get_args(MaskOrder))}": (
            config.mask_order not in get_args(MaskOrder)
        ),
    }
    for refusal, refused in refusals.items():
        if refused:
            raise CheckpointError(f"config.json: {refusal}")
