"""The CLIP vision transformer (Radford et al., 2021), up to the features that Molmo takes from it.

In: flattened patches of normalised crops. Out: the outputs of chosen blocks, one vector per patch.
Knows nothing about pixels, padding or the language model. Attributes are named as in the released
checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.models.molmo.attention import attend
from tierexp.models.molmo.sizes import VisionConfig


class VisionAttention(nn.Module):
    """Multi-head attention with biases, self- or cross-.

    Args:
        in_width: Channels of queries, keys and values before their projections.
        width: Channels after them, and of the output.
        num_heads: Heads.
    """

    def __init__(self, in_width: int, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.wq = nn.Linear(in_width, width)
        self.wk = nn.Linear(in_width, width)
        self.wv = nn.Linear(in_width, width)
        self.wo = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, Q, in_width) attends to (B, K, in_width): (B, Q, width)."""
        q, k, v = (
            projection(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, T, D)
            for projection, x in ((self.wq, queries), (self.wk, keys), (self.wv, keys))
        )
        attended = attend(q, k, v)  # (B, H, Q, D)
        output: Tensor = self.wo(attended.transpose(1, 2).flatten(2))
        return output


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's activation, x · sigmoid(1.702 x), written with silu because that has a fused
    backward pass.
    """
    return F.silu(1.702 * x) * (1 / 1.702)


class VisionMLP(nn.Module):
    """Two linear layers with quick-GELU between them."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden_width)
        self.w2 = nn.Linear(hidden_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        output: Tensor = self.w2(quick_gelu(self.w1(x)))
        return output


class VisionBlock(nn.Module):
    """A pre-norm residual block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.attention = VisionAttention(config.width, config.width, config.num_heads)
        self.ffn_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.feed_forward = VisionMLP(config.width, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        output: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return output


class VisionBlocks(nn.Module):
    """The stack of blocks; a module of its own for the sake of the released names."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_layers))


class VisionTransformer(nn.Module):
    """CLIP ViT without its final norm and projection.

    Args:
        config: Its sizes.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        patches = config.patches_per_side**2
        self.patch_embedding = nn.Linear(config.patch_size**2 * 3, config.width, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.positional_embedding = nn.Parameter(torch.empty(patches + 1, config.width))
        self.pre_ln = nn.LayerNorm(config.width, config.norm_eps)
        self.transformer = VisionBlocks(config)
        self.feature_layers = tuple(n % config.num_layers for n in config.feature_layers)

    def forward(self, patches: Tensor) -> Tensor:
        """Features of every patch.

        Args:
            patches: (B, P, patch_size² · 3), normalised; row by row, and within a patch by
                height, width, channel.

        Returns:
            (B, P, feature_width): the outputs of the feature layers, class token dropped.
        """
        x = self.patch_embedding(patches)  # (B, P, C)
        class_token = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([class_token, x], dim=1) + self.positional_embedding  # (B, 1 + P, C)
        x = self.pre_ln(x)
        outputs = []
        # Blocks above the last feature layer (the released models have one) would change nothing.
        for block in self.transformer.resblocks[: max(self.feature_layers) + 1]:
            x = block(x)
            outputs.append(x)
        features: Tensor = torch.cat([outputs[n][:, 1:] for n in self.feature_layers], dim=-1)
        return features
