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


SLOPE = 1.702
"""Of CLIP's activation, quick-GELU: x · sigmoid(1.702 x)."""


class VisionMLP(nn.Module):
    """Two linear layers with quick-GELU between them."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden_width)
        self.w2 = nn.Linear(hidden_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        # Quick-GELU of x is silu(1.702 x) / 1.702, and a product is scaled for nothing.
        scaled = torch.addmm(
            self.w1.bias, x.flatten(0, 1), self.w1.weight.mT, beta=SLOPE, alpha=SLOPE
        )
        hidden = F.silu(scaled, inplace=not torch.is_grad_enabled())
        output = torch.addmm(self.w2.bias, hidden, self.w2.weight.mT, alpha=1 / SLOPE)
        return output.view(x.shape)


class VisionBlock(nn.Module):
    """A pre-norm residual block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.attention = VisionAttention(config.width, config.width, config.num_heads)
        self.ffn_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.feed_forward = VisionMLP(config.width, config.mlp_width)

    def forward(self, x: Tensor, asked: Tensor | None = None) -> Tensor:
        """(B, T, C) to (B, T, C); or to (B, A, C), of the tokens `asked`, (B, A) int64, alone."""
        normed = self.attention_norm(x)
        queries = normed
        if asked is not None:
            x, queries = _tokens(x, asked), _tokens(normed, asked)
        x = x + self.attention(queries, normed)
        output: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return output


def _tokens(x: Tensor, numbers: Tensor) -> Tensor:
    """Of (B, T, C) the tokens with these numbers, (B, A): (B, A, C)."""
    first = torch.arange(len(x), device=x.device)[:, None] * x.shape[1]
    return x.flatten(0, 1).index_select(0, (first + numbers).flatten()).view(*numbers.shape, -1)


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

    def forward(self, patches: Tensor, asked: Tensor | None = None) -> Tensor:
        """Features of patches.

        Args:
            patches: (B, P, patch_size² · 3), normalised; row by row, and within a patch by
                height, width, channel.
            asked: (B, A) int64, the patches whose features are wanted; None for all. The last
                block, whose output nobody else sees, computes nothing of the others but their
                keys and values.

        Returns:
            (B, P or A, feature_width): the outputs of the feature layers, class token dropped.
        """
        x = self.patch_embedding(patches)  # (B, P, C)
        class_token = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([class_token, x], dim=1) + self.positional_embedding  # (B, 1 + P, C)
        x = self.pre_ln(x)
        last = max(self.feature_layers)
        tokens = None if asked is None else asked + 1  # behind the class token
        outputs = {}
        # Blocks above the last feature layer (the released models have one) would change nothing.
        for number, block in enumerate(self.transformer.resblocks[: last + 1]):
            x = block(x, tokens if number == last else None)
            if number not in self.feature_layers:
                continue
            if tokens is None:
                outputs[number] = x[:, 1:]
            else:
                outputs[number] = x if number == last else _tokens(x, tokens)
        return torch.cat([outputs[number] for number in self.feature_layers], dim=-1)
