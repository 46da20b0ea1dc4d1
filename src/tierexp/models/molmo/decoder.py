"""Molmo's language model: dense blocks (Qwen2 and OLMo style) and mixture-of-experts blocks.

In: embedded tokens, with vision tokens already added. Out: normalised hidden states. Knows
nothing about images, vocabularies or sampling. Attributes are named as in MolmoE's checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.models.molmo.attention import Attention
from tierexp.models.molmo.cache import BlockCache
from tierexp.models.molmo.moe import MixtureOfExperts
from tierexp.models.molmo.norm import RMSNorm
from tierexp.models.molmo.rotary import rotary_angles, rotate
from tierexp.models.molmo.sizes import DecoderConfig


@dataclass(frozen=True)
class DecoderKnobs:
    """What of a decoder runs.

    Args:
        active_blocks: The numbers of the blocks that run, in this order.
        top_k: Experts that a token visits; None for a dense model.
    """

    active_blocks: tuple[int, ...]
    top_k: int | None


@dataclass(frozen=True)
class LateBlocks:
    """The blocks that see only some of the tokens.

    Args:
        after: So many of the blocks that run see all.
        mask: As in `SelfAttention`, over the tokens that are left.
    """

    after: int
    mask: Tensor | None


class SelfAttention(nn.Module):
    """Causal grouped-query attention with its norm: what it adds to the residual stream.

    Args:
        config: Sizes of the decoder.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.norm_after = config.norm_after
        kv_width = config.num_kv_heads * config.head_dim
        self.widths = (config.width, kv_width, kv_width)
        self.attn_norm = RMSNorm(config.width, config.norm_eps)
        self.att_proj = nn.Linear(config.width, sum(self.widths), bias=config.qkv_bias)
        self.attention = Attention()
        self.attn_out = nn.Linear(config.width, config.width, bias=False)
        self.q_norm = RMSNorm(config.width, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(kv_width, config.norm_eps) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        block: int,
        cache: BlockCache | None,
    ) -> Tensor:
        """(B, T, C) to (B, T, C).

        Args:
            x: The residual stream.
            angles: Angles of the tokens' positions (`rotary_angles`).
            mask: (B, 1, T, keys) bool, True where a token looks, or float to add to the scores;
                None for plain causal attention.
            block: The number of this block in the cache.
            cache: Earlier tokens; extended by these.
        """
        q, k, v = self.project(x, angles)
        if cache is not None:
            k, v = cache.extend(block, k, v)  # (B, kv heads, keys, D)
        causal = mask is None and q.shape[2] > 1
        attended = self.attention(q, k, v, mask, causal)  # (B, H, T, D)
        output: Tensor = self.attn_out(attended.transpose(1, 2).flatten(2))
        if self.norm_after:
            output = self.attn_norm(output)
        return output

    def project(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries (B, H, T, D) and keys, and values, (B, kv heads, T, D) each, of a
        residual stream (B, T, C).
        """
        qkv = self.att_proj(x if self.norm_after else self.attn_norm(x))
        q, k, v = qkv.split(self.widths, dim=-1)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (t.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for t in (q, k, v))
        q, k = (rotate(t, angles).to(v.dtype) for t in (q, k))
        return q, k, v


class FeedForward(nn.Module):
    """The dense gated MLP with its norm: what it adds to the residual stream.

    Args:
        config: Sizes of the decoder.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.norm_after = config.norm_after
        self.ff_norm = RMSNorm(config.width, config.norm_eps)
        self.ff_proj = nn.Linear(config.width, 2 * config.mlp_width, bias=False)
        self.ff_out = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        up, gate = self.ff_proj(x if self.norm_after else self.ff_norm(x)).chunk(2, dim=-1)
        output: Tensor = self.ff_out(F.silu(gate) * up)
        if self.norm_after:
            output = self.ff_norm(output)
        return output


class Block(nn.Module):
    """Attention, then a dense MLP or a mixture of experts, each on a residual connection; all of it
    on one device.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(config)
        self.mlp = FeedForward(config) if config.num_experts is None else MixtureOfExperts(config)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.attn.att_proj.weight.device

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        block: int,
        cache: BlockCache | None,
        top_k: int | None,
    ) -> Tensor:
        """(B, T, C) to (B, T, C); arguments as in `SelfAttention` and `MixtureOfExperts`."""
        x = x + self.attn(x, angles, mask, block, cache)
        update = self.mlp(x, top_k) if isinstance(self.mlp, MixtureOfExperts) else self.mlp(x)
        output: Tensor = x + update
        return output


class TokenEmbedding(nn.Module):
    """Two tables: the language model's vocabulary, and the ids added for images.

    Args:
        config: Sizes of the decoder.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.new_embedding = nn.Parameter(torch.empty(config.extra_vocab_size, config.width))

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T) int64 to (B, T, C)."""
        # Looked up apart: joining the tables would copy a gigabyte in the largest models.
        known = len(self.embedding)
        ordinary = F.embedding(input_ids.clamp(max=known - 1), self.embedding)
        added = F.embedding((input_ids - known).clamp(min=0), self.new_embedding)
        return torch.where((input_ids < known).unsqueeze(-1), ordinary, added)


class Decoder(nn.Module):
    """Embedding, blocks and final norm; the head belongs to the model.

    Args:
        config: Sizes of the decoder.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = TokenEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = RMSNorm(config.width, config.norm_eps)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        *,
        active_blocks: Sequence[int],
        top_k: int | None = None,
        cache: BlockCache | None = None,
        late: LateBlocks | None = None,
    ) -> Tensor:
        """Hidden states after the final norm.

        Args:
            x: (B, T, C), embedded tokens.
            positions: (B, T) int64, for the rotary embedding.
            mask: As in `SelfAttention`.
            active_blocks: The blocks that run, in this order.
            top_k: Experts per token where it differs from the configuration.
            cache: Earlier tokens; extended by these.
            late: What the later blocks see of the earlier tokens, where that is not all.

        Returns:
            (B, T, C).
        """
        angles = rotary_angles(positions, self.config.head_dim, self.config.rope_theta)
        early = len(active_blocks) if late is None else late.after
        x = self.run(x, angles, mask, active_blocks[:early], top_k, cache)
        if late is not None:
            x = self.run(x, angles, late.mask, active_blocks[early:], top_k, cache)
        output: Tensor = self.ln_f(x)
        return output

    def fill(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: BlockCache,
        active_blocks: Sequence[int],
        top_k: int | None = None,
    ) -> None:
        """Extend a cache by tokens of which nothing else is asked: of the last block that runs
        their keys and values alone are computed.

        Args:
            x: (B, T, C), embedded tokens.
            positions: As of `forward`.
            mask: As of `forward`.
            cache: Extended by these.
            active_blocks: As of `forward`.
            top_k: As of `forward`.
        """
        angles = rotary_angles(positions, self.config.head_dim, self.config.rope_theta)
        *others, last = active_blocks
        x = self.run(x, angles, mask, others, top_k, cache)
        block = self.blocks[last]
        assert isinstance(block, Block)
        x, angles = x.to(block.device), (angles[0].to(block.device), angles[1].to(block.device))
        _, keys, values = block.attn.project(x, angles)
        cache.extend(last, keys, values)

    def run(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        blocks: Sequence[int],
        top_k: int | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        """Some of the blocks, one after the other, on the residual stream (B, T, C); each where
        its weights are, and what comes of it is where `x` was.
        """
        home = x.device
        for number, device in zip(blocks, self.devices_of(blocks), strict=True):
            if x.device != device:
                x, angles = x.to(device), (angles[0].to(device), angles[1].to(device))
                mask = None if mask is None else mask.to(device)
            x = self.blocks[number](x, angles, mask, number, cache, top_k)
        return x.to(home)

    def devices_of(self, blocks: Sequence[int]) -> list[torch.device]:
        """Where the weights of each of the blocks are."""
        asked = [self.blocks[number] for number in blocks]
        return [block.device for block in asked if isinstance(block, Block)]
