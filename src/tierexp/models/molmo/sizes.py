"""Every size of a Molmo's three parts, each under one name.

Frozen numbers that the modules are built from. Knows neither tensors nor how a checkpoint spells
them (`published_json`).
"""

from __future__ import annotations

from dataclasses import dataclass


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
        norm_eps: Epsilon of the layer norms.
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
        vocab_size: Rows of the token embedding (`embedding_size` in a `config.json`); the logits
            are over these.
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
        norm_eps: Epsilon of the RMS norms.
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
    def num_embeddings(self) -> int:
        """Ids that can be looked up: rows of both embeddings."""
        return self.vocab_size + self.extra_vocab_size

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.num_heads
