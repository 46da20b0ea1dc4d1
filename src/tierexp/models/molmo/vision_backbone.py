"""From crops to vision tokens: normalisation, vision transformer, connector.

In: crops as pixels and the patch mask. Out: the vectors that are added to the embeddings of the
image tokens. Knows nothing about where in a prompt they go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tierexp.models.knobs.reduction.cls_attention import (
    class_attention,
    patches_as_tokens,
    window_means,
)
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.connector import (
    MeanQueryPooling,
    Projector,
    add_padding_embeddings,
    pooling_windows,
)
from tierexp.models.molmo.vision import VisionBlock, VisionTransformer
from tierexp.models.patches import normalised_patches

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CACHE_BYTES = 2**22
"""What an activation may take on a CPU. On one core, with 1 MiB of its own and 32 MiB that are
shared, 32 views took the model in the box 776 ms at once, 624 by eights, 609 by fours and 577 by
twos; the widest activation of four has 3.5 MB."""

ViewEncoder = Callable[[Tensor, Tensor], Tensor]
"""From crops, (V, S, S, 3), and their patch masks, (V, P), to vision tokens, (V, K, C)."""


@dataclass(frozen=True)
class Encoded:
    """Images as vision tokens, whether or not the decoder receives them.

    Args:
        features: (I, N, K, C).
        scores: (I, N, K) float32: what the class token of their view attends to; None where nobody
            asks.
        keys: (I, N, K, D): their patches' keys, means over heads and windows; None where nobody
            asks.
    """

    features: Tensor
    scores: Tensor | None = None
    keys: Tensor | None = None


class VisionBackbone(nn.Module):
    """Vision transformer and connector.

    Args:
        config: Sizes of the whole model.
    """

    def __init__(self, config: MolmoConfig) -> None:
        super().__init__()
        vision, connector = config.vision, config.connector
        self.patch_size = vision.patch_size
        self.patches_per_side = vision.patches_per_side
        self.mlp_width = vision.mlp_width
        self.pooling = connector.pooling
        self.image_vit = VisionTransformer(vision)
        self.pad_embed = nn.Parameter(torch.empty(2, vision.feature_width))
        self.image_pooling_2d = MeanQueryPooling(
            vision.feature_width, vision.width, vision.num_heads
        )
        self.image_projector = Projector(vision.width, connector.hidden_width, config.decoder.width)

    def forward(self, pixels: Tensor, patch_mask: Tensor, received: Tensor | None = None) -> Tensor:
        """The vision tokens of every crop.

        Args:
            pixels: (B, N, S, S, 3) uint8, or floating point in [0, 1]; a crop that is all -1 fills
                up a batch and has no features.
            patch_mask: (B, N, P), see `ModelInputs`.
            received: (B, N, K) bool: the tokens that somebody reads, of which alone the last block
                and the connector are computed; None for all.

        Returns:
            (B, N, K, decoder width), row by row; zeros where nobody reads.
        """
        rows, cols = self.pooling
        if received is None or self.patches_per_side % rows or self.patches_per_side % cols:
            return self.in_parts(self.views, pixels, patch_mask)
        return self._of_received(pixels, patch_mask, received)

    def _of_received(self, pixels: Tensor, patch_mask: Tensor, received: Tensor) -> Tensor:
        """As `forward`, views of which as many tokens are read together."""
        crops, masks, read = (t.flatten(0, 1) for t in (pixels, patch_mask, received))
        counts = read.sum(dim=1)
        width = self.image_projector.w2.out_features
        found = pixels.new_zeros(*read.shape, width, dtype=self._patch_dtype)
        for count in sorted({*counts.tolist()} - {0}):
            for views in (counts == count).nonzero().squeeze(1).split(self.views_at_once):
                tokens = read[views].nonzero()[:, 1].view(len(views), count)
                some = crops.index_select(0, views)  # in brackets it would copy byte by byte
                of_views = self.views(some, masks[views], tokens)
                found[views[:, None], tokens] = of_views.to(found.dtype)
        return found.view(*received.shape, width)

    def in_parts(self, encode: ViewEncoder, pixels: Tensor, patch_mask: Tensor) -> Tensor:
        """As `forward`, some views at a time where that is faster. No view sees another, so that
        the parts say what all views at once would.

        Args:
            encode: As `views`.
            pixels: As of `forward`.
            patch_mask: As of `forward`.
        """
        views = pixels.flatten(0, 1), patch_mask.flatten(0, 1)
        parts = 1
        if pixels.device.type == "cpu" and not torch.is_grad_enabled():
            parts = -(-views[0].shape[0] // self.views_at_once)
        # As even as can be: compiled code has one of its own for a single view.
        of_each = (tensor.tensor_split(max(1, parts)) for tensor in views)
        tokens = [encode(*part) for part in zip(*of_each, strict=True)]
        together = tokens[0] if len(tokens) == 1 else torch.cat(tokens)
        return together.view(*pixels.shape[:2], -1, together.shape[-1])

    @property
    def views_at_once(self) -> int:
        """How many views a CPU encodes together: the widest activation of more would not stay in
        its cache, and every operation would wait for memory.
        """
        widest = (self.patches_per_side**2 + 1) * self.mlp_width * self._patch_dtype.itemsize
        return max(1, CACHE_BYTES // widest)

    def views(self, pixels: Tensor, patch_mask: Tensor, tokens: Tensor | None = None) -> Tensor:
        """The vision tokens of views, all at once.

        Args:
            pixels: (V, S, S, 3), as of `forward`.
            patch_mask: (V, P).
            tokens: (V, T) int64, which of the K tokens are wanted; None for all. Windows of patches
                must not reach over the edge.

        Returns:
            (V, K or T, decoder width).
        """
        patches = normalised_patches(pixels, self.patch_size, CLIP_MEAN, CLIP_STD)
        asked = None if tokens is None else self._windows[tokens].flatten(1)
        features = self.image_vit(patches.to(self._patch_dtype), asked)  # (V, P or T · window, C)
        if pixels.is_floating_point():
            blank = (pixels == -1).flatten(1).all(dim=-1)
            features = features.masked_fill(blank[:, None, None], 0)
        shown = patch_mask if asked is None else patch_mask.gather(1, asked)
        features = add_padding_embeddings(features, self.pad_embed, shown)
        if asked is None:
            side = self.patches_per_side
            grid = features.view(pixels.shape[0], side, side, features.shape[-1])
            pooled = self.image_pooling_2d.pool(pooling_windows(grid, self.pooling))
        else:
            windows = features.view(-1, math.prod(self.pooling), features.shape[-1])
            pooled = self.image_pooling_2d.pool_unprojected(windows)
        found: Tensor = self.image_projector(pooled)  # (V · K or V · T, decoder width)
        return found.view(pixels.shape[0], -1, found.shape[-1])

    @property
    def _windows(self) -> Tensor:
        """(K, window) int64: the patches of each token's window."""
        side = self.patches_per_side
        patches = torch.arange(side * side, device=self.pad_embed.device)
        return pooling_windows(patches.view(1, side, side, 1), self.pooling).squeeze(-1)

    def encode(self, pixels: Tensor, patch_mask: Tensor) -> Encoded:
        """As `forward`, with what methods of reduction ask about the tokens.

        The attention kernel gives no weights: queries and keys of the block whose output is the
        deepest feature are looked at on their way, and the class token's weights computed from
        them.

        Args:
            pixels: (I, N, S, S, 3), as of `forward`.
            patch_mask: (I, N, P).
        """
        vit = self.image_vit
        block = vit.transformer.resblocks[max(vit.feature_layers)]
        assert isinstance(block, VisionBlock)
        attention = block.attention
        seen: dict[nn.Module, Tensor] = {}
        weights: list[Tensor] = []
        means: list[Tensor] = []

        def look(module: nn.Module, _: object, output: Tensor) -> None:
            # Of some views at once, looked at while a cache holds them.
            seen[module] = output.view(*output.shape[:2], attention.num_heads, -1).transpose(1, 2)
            if len(seen) == len(parts):
                queries, keys = (seen.pop(part) for part in parts)  # (V, H, 1 + P, D)
                weights.append(class_attention(queries[:, :, 0], keys))
                means.append(keys[:, :, 1:].mean(dim=1))

        parts = attention.wq, attention.wk
        hooks = [part.register_forward_hook(look) for part in parts]
        try:
            features = self(pixels, patch_mask)
        finally:
            for hook in hooks:
                hook.remove()
        side, pooling, shape = self.patches_per_side, self.pooling, features.shape[:3]
        return Encoded(
            features,
            patches_as_tokens(torch.cat(weights), side, pooling).view(shape),
            window_means(torch.cat(means), side, pooling).reshape(*shape, -1),
        )

    @property
    def _patch_dtype(self) -> torch.dtype:
        return self.image_vit.patch_embedding.weight.dtype


def compiled(backbone: VisionBackbone) -> ViewEncoder:
    """The backbone's `views` as torch's compiler makes it, at the first call."""
    encode = torch.compile(backbone.views)

    def encoder(pixels: Tensor, patch_mask: Tensor) -> Tensor:
        # One number varies, however many images of however many crops: one compilation serves all.
        for tensor in (pixels, patch_mask):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        tokens: Tensor = encode(pixels, patch_mask)
        return tokens

    return encoder
