"""Prefill in which vision tokens leave between two blocks of the decoder.

In: a model, prompts padded on the left, the features of their images, and a method that ranks vision
tokens by what an early block attends to. Out: as `prefill`. What leaves depends on the question, so
that every prompt is read alone, also where several are about one image. Tokens that stay keep their
positions. The attention kernel gives no weights: they are computed for the one block that is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.fastv import attention_weights, received
from tierexp.models.knobs.reduction.kept import highest
from tierexp.models.knobs.reduction.settings import DecoderReduction, FastV
from tierexp.models.knobs.reduction.text import raters
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.decoder import DecoderKnobs, SelfAttention
from tierexp.models.molmo.masks import causal_mask, token_positions
from tierexp.models.molmo.model import Molmo, attention_over
from tierexp.models.molmo.prefill import Prefilled
from tierexp.models.molmo.rotary import rotary_angles
from tierexp.models.protocol import ModelInputs


@dataclass(frozen=True)
class Sequences:
    """What is where in prompts of T tokens.

    Args:
        real: (B, T) bool, False on padding.
        vision: (B, T) bool: the vision tokens.
        asks: (B, T) bool: tokens of the question, all that follow the last vision token.
    """

    real: Tensor
    vision: Tensor
    asks: Tensor


def sequences(inputs: ModelInputs) -> Sequences:
    """Find a batch's vision tokens by where they are added, and its questions."""
    places = inputs.image_input_idx.flatten(1)  # (B, N · K)
    everywhere = torch.arange(inputs.input_ids.shape[1], device=places.device)
    marks = torch.zeros(inputs.input_ids.shape, dtype=torch.long, device=places.device)
    marks = marks.scatter_add(1, places.clamp(min=0), (places >= 0).long())
    last = places.amax(dim=1, keepdim=True)
    asks = (everywhere > last) & inputs.attention_mask
    return Sequences(inputs.attention_mask, marks > 0, asks)


def pruned_prefill(
    model: Molmo,
    inputs: ModelInputs,
    vision_features: Tensor,
    new_tokens: int,
    knobs: DecoderKnobs,
    reduction: DecoderReduction,
) -> Prefilled | None:
    """Read prompts, keeping some of their vision tokens from a block on.

    Args:
        model: In the mode and precision it is to run in.
        inputs: The prompts; of their images not the pixels.
        vision_features: (I, N, K, C).
        new_tokens: How many more the cache is to have room for.
        knobs: What of the decoder runs.
        reduction: Which tokens stay, and from which block on.

    Returns:
        None where every token stays.

    Raises:
        ConfigError: More tokens are asked for than an image has.
    """
    parts = sequences(inputs)
    totals = parts.vision.sum(dim=1).tolist()
    counts = [reduction.count(total) for total in totals]
    if counts == totals:
        return None
    decoder, after = model.transformer, reduction.block
    kept_lengths = parts.real.sum(dim=1) - torch.tensor(totals, device=parts.real.device)
    kept_lengths = kept_lengths + torch.tensor(counts, device=parts.real.device)
    batch, length = inputs.input_ids.shape
    early, late = knobs.active_blocks[:after], knobs.active_blocks[after:]
    left = int(kept_lengths.max())
    cache = KeyValueCache(
        model.config.decoder,
        batch,
        [length + new_tokens] * len(early) + [left + new_tokens] * len(late),
        inputs.input_ids.device,
        vision_features.dtype,
        knobs.active_blocks,
    )
    embedded = model.embed(
        inputs.input_ids, vision_features[inputs.image_index], inputs.image_input_idx
    )
    config = decoder.config
    angles = rotary_angles(token_positions(parts.real), config.head_dim, config.rope_theta)
    mask = attention_over(parts.real, length, 0, embedded.device)
    before = decoder.run(embedded, angles, mask, early[:-1], knobs.top_k, cache)
    x = decoder.run(before, angles, mask, early[-1:], knobs.top_k, cache)
    asked: SelfAttention = decoder.blocks[early[-1]].attn
    scores = _scores(
        reduction, parts, embedded, before, angles, asked, cache.keys(early[-1])
    )
    columns = _staying(scores, parts, counts, left)  # (B, left)
    stays = columns >= 0
    at = columns.clamp(min=0)
    x = x.gather(1, at.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    of_angles = at[:, None, :, None].expand(-1, 1, -1, angles[0].shape[-1])
    angles = (angles[0].gather(2, of_angles), angles[1].gather(2, of_angles))
    mask = attention_over(stays, left, 0, x.device)
    x = decoder.run(x, angles, mask, late, knobs.top_k, cache)
    logits = model.lm_head(decoder.ln_f(x[:, -1]))
    padding = None if bool(parts.real.all()) else parts.real
    late_padding = None if bool(stays.all()) else stays
    return Prefilled(logits, cache, padding, None, (after, late_padding))


def _scores(
    reduction: DecoderReduction,
    parts: Sequences,
    embedded: Tensor,
    before: Tensor,
    angles: tuple[Tensor, Tensor],
    attention: SelfAttention,
    keys: Tensor,
) -> Tensor:
    """(B, T) float32: how much each token is attended to, by those that the method listens to.

    Args:
        reduction: The method.
        parts: What is where.
        embedded: (B, T, C), what entered the decoder.
        before: (B, T, C), what entered the block that is asked.
        angles: Of every token's position.
        attention: Of that block.
        keys: (B, kv heads, T, D), its keys.
    """
    length, nobody = parts.real.shape[1], torch.zeros_like(parts.real)
    if isinstance(reduction, FastV):
        asks = parts.real.clone() if reduction.received_from == "all" else nobody
        asks[:, -1] = True
    else:
        asks = nobody
        for row, question in enumerate(parts.asks):
            chosen = raters(embedded[row, parts.vision[row]], embedded[row, question])
            asks[row, question.nonzero().squeeze(1)[chosen]] = True
    first = int(asks.any(dim=0).int().argmax())  # the columns that nobody asks from are left out
    window = slice(first, length)
    of_window = (angles[0][:, :, window], angles[1][:, :, window])
    queries, _, _ = attention.project(before[:, window], of_window)
    sees = causal_mask(parts.real, length - first)[:, 0]
    return received(attention_weights(queries, keys, sees), asks[:, window])


def _staying(scores: Tensor, parts: Sequences, counts: list[int], left: int) -> Tensor:
    """(B, left) int64: the columns that stay, ascending, -1 on the padding before them."""
    columns = torch.full((len(scores), left), -1, device=scores.device)
    for row, count in enumerate(counts):
        vision = parts.vision[row].nonzero().squeeze(1)
        kept = vision[highest(scores[row, vision], count)]
        stays = parts.real[row] & ~parts.vision[row]
        stays = stays.index_fill(0, kept, True).nonzero().squeeze(1)
        columns[row, left - len(stays) :] = stays
    return columns
