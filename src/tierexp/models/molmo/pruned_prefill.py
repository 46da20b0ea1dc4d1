"""Prefill in which vision tokens leave between two blocks of the decoder.

In: a model, prompts padded on the left, the features of their images, and a method that ranks
vision tokens by what an early block attends to. Out: as `prefill`. What leaves depends on the
question: an image that several prompts are about is read once by the blocks that see every token,
and once for each by the others. Tokens that stay keep their positions. The attention kernel gives
no weights: they are computed for the one block that is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.fastv import attention_weights, received
from tierexp.models.knobs.reduction.kept import highest
from tierexp.models.knobs.reduction.settings import DecoderReduction, FastV
from tierexp.models.knobs.reduction.text import raters
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.decoder import Block, DecoderKnobs, SelfAttention
from tierexp.models.molmo.masks import token_positions
from tierexp.models.molmo.model import Molmo, attention_over
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.prefill import Prefilled, split_at_images
from tierexp.models.molmo.rotary import rotary_angles


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


def sequences(real: Tensor, image_input_idx: Tensor) -> Sequences:
    """Find a batch's vision tokens by where they are added, and its questions.

    Args:
        real: (B, T) bool, False on padding.
        image_input_idx: (B, N, K), see `ModelInputs`.
    """
    places = image_input_idx.flatten(1)  # (B, N · K)
    marks = torch.zeros(real.shape, dtype=torch.long, device=real.device)
    marks = marks.scatter_add(1, places.clamp(min=0), (places >= 0).long())
    columns = torch.arange(real.shape[1], device=real.device)
    return Sequences(real, marks > 0, (columns > places.amax(dim=1, keepdim=True)) & real)


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
    totals = (inputs.image_input_idx >= 0).flatten(1).sum(dim=1).tolist()
    counts = [reduction.count(total) for total in totals]
    if counts == totals:
        return None
    early, late = knobs.active_blocks[: reduction.block], knobs.active_blocks[reduction.block :]
    read = _read_early(model, inputs, vision_features, new_tokens, early, knobs.top_k)
    parts, decoder = read.parts, model.transformer
    asked = decoder.blocks[early[-1]]
    assert isinstance(asked, Block)
    scores = _scores(reduction, read, asked.attn, read.cache.of(early[-1])[0])
    columns = _staying(scores, parts, counts)  # (B, left)
    stays, at = columns >= 0, columns.clamp(min=0)
    left = columns.shape[1]
    x = read.after.gather(1, at.unsqueeze(-1).expand(-1, -1, read.after.shape[-1]))
    config = decoder.config
    positions = token_positions(parts.real).gather(1, at)
    angles = rotary_angles(positions, config.head_dim, config.rope_theta)
    cache = KeyValueCache(
        config, len(x), left + new_tokens, decoder.devices_of(late), x.dtype, late
    )
    mask = attention_over(stays, left, 0, x.device)
    x = decoder.run(x, angles, mask, late, knobs.top_k, cache)
    return Prefilled(
        model.lm_head(decoder.ln_f(x[:, -1])),
        read.cache.beside(cache),
        None if bool(parts.real.all()) else parts.real,
        late=(reduction.block, None if bool(stays.all()) else stays),
    )


@dataclass(frozen=True)
class ReadEarly:
    """Prompts of T tokens that the first blocks have read, all of them.

    Args:
        parts: What is where.
        embedded: (B, T, C), what entered the decoder.
        before: (B, T, C), what entered the last of the blocks.
        after: (B, T, C), what left it.
        angles: Angles of every token's position.
        cache: Cache of these blocks.
    """

    parts: Sequences
    embedded: Tensor
    before: Tensor
    after: Tensor
    angles: tuple[Tensor, Tensor]
    cache: KeyValueCache


def _read_early(
    model: Molmo,
    inputs: ModelInputs,
    vision_features: Tensor,
    new_tokens: int,
    blocks: Sequence[int],
    top_k: int | None,
) -> ReadEarly:
    """Read prompts by the first blocks; an image that several are about once."""
    split = split_at_images(inputs, len(vision_features))
    first, questions, real = split[:3] if split else (inputs, None, inputs.attention_mask)
    decoder, config = model.transformer, model.config.decoder
    begun = first.input_ids.shape[1]
    shared = len(first.input_ids) < len(real)
    room = begun if shared else real.shape[1] + new_tokens
    device, dtype = real.device, vision_features.dtype
    devices = decoder.devices_of(blocks)
    cache = KeyValueCache(config, len(first.input_ids), room, devices, dtype, blocks)

    def read(x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        length = x.shape[1]
        positions = token_positions(seen)[:, -length:]
        angles = rotary_angles(positions, config.head_dim, config.rope_theta)
        mask = attention_over(seen, length, seen.shape[1] - length, device)
        before = decoder.run(x, angles, mask, blocks[:-1], top_k, cache)
        return x, before, decoder.run(before, angles, mask, blocks[-1:], top_k, cache)

    image = vision_features[first.image_index]
    states = read(model.embed(first.input_ids, image, first.image_input_idx), first.attention_mask)
    places = first.image_input_idx
    if questions is not None:
        if shared:
            cache = cache.repeat(inputs.image_index, real.shape[1] + new_tokens)
            states = tuple(state[inputs.image_index] for state in states)  # type: ignore[assignment]
            places = places[inputs.image_index]
        of_questions = read(model.embed(questions, None, None), real)
        states = tuple(map(_joined, states, of_questions))  # type: ignore[assignment]
    angles = rotary_angles(token_positions(real), config.head_dim, config.rope_theta)
    return ReadEarly(sequences(real, places), *states, angles, cache)


def _joined(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], dim=1)


def _scores(
    reduction: DecoderReduction, read: ReadEarly, attention: SelfAttention, keys: Tensor
) -> Tensor:
    """(B, T) float32: how much each token is attended to, by those that the method listens to.

    Args:
        reduction: The method.
        read: The prompts.
        attention: Attention of the last block that has read them.
        keys: (B, kv heads, T, D), its keys.
    """
    parts = read.parts
    asks = torch.zeros_like(parts.real)
    if isinstance(reduction, FastV):
        if reduction.received_from == "all":
            asks |= parts.real
        asks[:, -1] = True
        may_ask = asks
    else:
        for row, question in enumerate(parts.asks):
            chosen = raters(read.embedded[row, parts.vision[row]], read.embedded[row, question])
            asks[row, question.nonzero().squeeze(1)[chosen]] = True
        may_ask = parts.asks
    columns = may_ask.any(dim=0).nonzero().squeeze(1)  # (Q,): elsewhere nobody asks
    cos, sin = read.angles
    asking, cos, sin = (
        tensor.to(keys.device)
        for tensor in (read.before[:, columns], cos[:, :, columns], sin[:, :, columns])
    )
    queries = attention.project(asking, (cos, sin))[0].to(read.before.device)
    keys = keys.to(read.before.device)
    every = torch.arange(asks.shape[1], device=columns.device)
    # Padding sees itself, so that its softmax is one.
    own = every == columns[:, None]  # (Q, T)
    sees = parts.real.unsqueeze(1) & (every <= columns[:, None]) | own
    return received(attention_weights(queries, keys, sees), asks[:, columns])


def _staying(scores: Tensor, parts: Sequences, counts: Sequence[int]) -> Tensor:
    """(B, left) int64: the columns that stay, ascending, -1 on the padding before them."""
    staying = []
    for row, count in enumerate(counts):
        vision = parts.vision[row].nonzero().squeeze(1)
        kept = vision[highest(scores[row, vision], count)]
        stays = parts.real[row] & ~parts.vision[row]
        staying.append(stays.index_fill(0, kept, True).nonzero().squeeze(1))
    left = max(map(len, staying))
    columns = torch.full((len(scores), left), -1, device=scores.device)
    for row, stay in enumerate(staying):
        columns[row, left - len(stay) :] = stay
    return columns
