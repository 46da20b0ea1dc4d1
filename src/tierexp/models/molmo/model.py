"""Molmo: vision backbone and decoder joined.

In: a batch of prompts with images (`ModelInputs`). Out: logits. Knows nothing about files,
tokenizers, how an image was cut into crops, or how answers are generated (`engine`). Follows "Molmo
and PixMo" (2024); the sizes come from `MolmoConfig`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tierexp.models.molmo.cache import BlockCache, KeyValueCache
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.decoder import Decoder, LateBlocks
from tierexp.models.molmo.initialisation import initialise
from tierexp.models.molmo.masks import causal_mask, token_positions
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.vision_backbone import VisionBackbone


class Molmo(nn.Module):
    """A vision-language model; random weights that can be trained, until a checkpoint is read.

    Args:
        config: All sizes.
    """

    def __init__(self, config: MolmoConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_backbone = VisionBackbone(config)
        self.transformer = Decoder(config.decoder)
        self.lm_head = nn.Linear(config.decoder.width, config.decoder.vocab_size, bias=False)
        if not self.lm_head.weight.is_meta:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh random weights, fit for training from nothing."""
        initialise(self, self.config.vision.num_layers, self.config.decoder.num_layers)

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Logits of every position, (B, T, vocab_size)."""
        return self.decode(
            inputs.input_ids,
            self.image_features(inputs),
            inputs.image_input_idx,
            attention_mask=inputs.attention_mask,
        )

    def image_features(self, inputs: ModelInputs) -> Tensor:
        """The vision tokens of every prompt's image, (B, N, K, C); each image is encoded once."""
        return self.vision_features(inputs.pixels, inputs.patch_mask)[inputs.image_index]

    def vision_features(
        self, pixels: Tensor, patch_mask: Tensor, received: Tensor | None = None
    ) -> Tensor:
        """Every vision token, whether or not the decoder receives it.

        Args:
            pixels: (B, N, S, S, 3), see `ModelInputs`.
            patch_mask: (B, N, P).
            received: (B, N, K) bool: the others may be zeros; None for all.

        Returns:
            (B, N, K, C) with the decoder's width C.
        """
        features: Tensor = self.vision_backbone(pixels, patch_mask, received)
        return features

    def embed(
        self, input_ids: Tensor, image_features: Tensor | None, image_input_idx: Tensor | None
    ) -> Tensor:
        """What enters the decoder, (B, T, C); arguments as of `decode`."""
        x: Tensor = self.transformer.wte(input_ids)
        if image_features is not None and image_input_idx is not None:
            x = _add_at(x, image_features, image_input_idx)
        return x

    def decode(
        self,
        input_ids: Tensor,
        image_features: Tensor | None = None,
        image_input_idx: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        logits_at: Tensor | None = None,
        active_blocks: Sequence[int] | None = None,
        top_k: int | None = None,
        cache: BlockCache | None = None,
        key_bias: Tensor | None = None,
        late: LateBlocks | None = None,
    ) -> Tensor:
        """Logits of the next token.

        Args:
            input_ids: (B, T) int64.
            image_features: (B, N, K, C), added to the embeddings of the tokens at
                `image_input_idx`; None for text alone.
            image_input_idx: (B, N, K) int64, positions in `input_ids`; negative drops a feature.
            attention_mask: (B, T) bool, False on padding, causal in addition; tokens of the cache
                come first. Or, complete in itself, (B, 1, T, keys), bool or float to add to the
                scores. None: no padding.
            position_ids: (B, T) int64; None counts the tokens that are not padding.
            logits_at: (B, P) int64, the positions whose logits are wanted; None for all.
            active_blocks: The decoder blocks that run; None for all.
            top_k: Experts per token; None for as many as the configuration says.
            cache: Earlier tokens; extended by these. One that does not grow needs `position_ids`
                and a complete mask.
            key_bias: (B, keys) float, added to the scores of every token of the cache and of these,
                whoever asks; None for nothing.
            late: What later blocks see of the cache, where that is not all.

        Returns:
            (B, T or P, vocab_size).
        """
        x = self.embed(input_ids, image_features, image_input_idx)
        length = input_ids.shape[1]
        seen = cache.length if isinstance(cache, KeyValueCache) else 0
        if position_ids is None:
            position_ids = _positions(attention_mask, input_ids, seen)
        hidden = self.transformer(
            x,
            position_ids,
            attention_over(attention_mask, length, seen, x.device, key_bias),
            active_blocks=range(len(self.transformer.blocks))
            if active_blocks is None
            else active_blocks,
            top_k=top_k,
            cache=cache,
            late=late,
        )
        if logits_at is not None:
            hidden = hidden.gather(1, logits_at.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        logits: Tensor = self.lm_head(hidden)
        return logits

    def fill(
        self,
        cache: KeyValueCache,
        input_ids: Tensor,
        image_features: Tensor,
        image_input_idx: Tensor,
        attention_mask: Tensor | None,
        *,
        active_blocks: Sequence[int],
        top_k: int | None = None,
        key_bias: Tensor | None = None,
    ) -> None:
        """Read tokens into an empty cache, for others to see; their logits are not computed.

        Args:
            cache: Extended by these.
            input_ids: As of `decode`, like all others.
            image_features: (B, N, K, C).
            image_input_idx: (B, N, K) int64.
            attention_mask: (B, T) bool; None for no padding.
            active_blocks: The decoder blocks that run.
            top_k: Experts per token.
            key_bias: (B, T) float.
        """
        x = self.embed(input_ids, image_features, image_input_idx)
        self.transformer.fill(
            x,
            _positions(attention_mask, input_ids, 0),
            attention_over(attention_mask, input_ids.shape[1], 0, x.device, key_bias),
            cache,
            active_blocks,
            top_k,
        )


def _positions(attention_mask: Tensor | None, input_ids: Tensor, seen: int) -> Tensor:
    """(B, T) int64, of tokens that follow `seen` others; arguments as of `Molmo.decode`."""
    batch, length = input_ids.shape
    if attention_mask is not None and attention_mask.dim() == 2:
        return token_positions(attention_mask)[:, -length:]
    return torch.arange(seen, seen + length, device=input_ids.device).expand(batch, -1)


def _add_at(x: Tensor, features: Tensor, positions: Tensor) -> Tensor:
    """Add `features` (B, N, K, C) to `x` (B, T, C) at `positions` (B, N, K), unless negative."""
    batch, length, width = x.shape
    rows = torch.arange(batch, device=x.device).view(-1, 1, 1) * length
    # What is dropped goes to a row behind the others: to select what is kept, the host would have
    # to wait for a GPU to count it.
    places = (rows + positions).where(positions >= 0, batch * length).flatten()
    room = torch.cat([x.reshape(-1, width), x.new_zeros(1, width)])
    added = room.index_add_(0, places, features.flatten(0, 2).to(x.dtype))
    return added[:-1].view_as(x)


def attention_over(
    attention_mask: Tensor | None,
    queries: int,
    seen: int,
    device: torch.device,
    key_bias: Tensor | None = None,
) -> Tensor | None:
    """The mask for `SelfAttention`; None where plain causal attention is the same and faster.

    Args:
        attention_mask: As of `Molmo.decode`.
        queries: How many tokens ask.
        seen: How many come before them.
        device: Device of the mask.
        key_bias: As of `Molmo.decode`.
    """
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask
    unpadded = attention_mask is None or bool(attention_mask.all())
    if unpadded and key_bias is None and (seen == 0 or queries == 1):
        return None
    if attention_mask is None:
        attention_mask = torch.ones(1, seen + queries, dtype=torch.bool, device=device)
    mask = causal_mask(attention_mask, queries)
    if key_bias is None:
        return mask
    bias = key_bias[:, None, None, :].expand(-1, 1, queries, -1)
    return bias.masked_fill(~mask, -torch.inf)
