"""Prefill: a batch of prompts, read up to the first token of their answers.

In: a model, prompts padded on the left, and the features of their images. Out: the logits of the
first new tokens, and the cache to go on from. An image that several prompts are about is read
once: what precedes and holds its vision tokens is the same in each. Where questions are packed, its
keys stay in one row with all questions behind them. Knows nothing about decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.packing import Packing, Sight, in_rows, packing_of, sight

EMPTY = 2
"""Slots for packed questions, as a multiple of the questions, up to which packing is worth it."""


@dataclass(frozen=True)
class Prefilled:
    """Prompts that have been read.

    Args:
        logits: (B, V), of each prompt's next token.
        cache: Cache of all prompts.
        mask: (B, `cache.length`) bool, False on padding; None where there is none.
        key_bias: (B, `cache.length`) float, as of `Molmo.decode`; None for nothing.
        late: (after, mask): so many blocks have seen all tokens, the others those that were kept,
            of which (B, their number) bool is the mask or None; None where all blocks have seen
            all.
        packed: How prompts are packed in the cache, which has a row for each image then, and what
            their new tokens see; None where each has a row of its own.
    """

    logits: Tensor
    cache: KeyValueCache
    mask: Tensor | None
    key_bias: Tensor | None = None
    late: tuple[int, Tensor | None] | None = None
    packed: tuple[Packing, Sight] | None = None

    @property
    def next_positions(self) -> Tensor:
        """(B, 1) int64: where every prompt's answer begins."""
        if self.mask is None:
            return torch.full_like(self.logits[:, :1], self.cache.length, dtype=torch.int64)
        return self.mask.sum(dim=1, keepdim=True)


def prefill(
    model: Molmo,
    inputs: ModelInputs,
    vision_features: Tensor,
    new_tokens: int,
    knobs: DecoderKnobs,
    sizes: Tensor | None = None,
    *,
    pack: bool = False,
) -> Prefilled:
    """Read prompts whose images have been encoded.

    Args:
        model: In the mode and precision it is to run in.
        inputs: The prompts; of their images not the pixels, which have been encoded.
        vision_features: (I, N, K, C), from `Molmo.vision_features`.
        new_tokens: How many more the cache is to have room for.
        knobs: What of the decoder runs.
        sizes: (I, N, K) float32: how often a vision token counts in attention; None for once.
        pack: Questions about an image behind it in one row, unless their numbers are so unequal
            that most of the room would be empty.
    """
    reader = _Reader(model, vision_features, sizes, knobs)
    parts = split_at_images(inputs, len(vision_features))
    if parts is None:
        return reader.whole(inputs, new_tokens)
    images, questions, mask, padded = parts
    shared = len(images.input_ids) < len(questions)
    packing = packing_of(inputs.image_index, len(images.input_ids)) if shared and pack else None
    if packing is not None and packing.images * packing.most <= EMPTY * len(questions):
        return reader.packed(parts, packing, new_tokens)
    room = questions.shape[1] + new_tokens
    cache, bias = reader.filled(images, 0 if shared else room)
    if shared:
        cache = cache.repeat(inputs.image_index, cache.length + room)
    if bias is not None:
        bias = bias[inputs.image_index] if shared else bias
        bias = torch.cat([bias, bias.new_zeros(questions.shape)], dim=1)
    padding = mask if padded else None
    last = torch.full_like(questions[:, :1], questions.shape[1] - 1)
    logits = reader.logits(cache, questions, attention_mask=padding, logits_at=last, key_bias=bias)
    return Prefilled(logits[:, -1], cache, padding, bias)


class Split(NamedTuple):
    """Prompts, parted behind their images.

    Args:
        images: What precedes and holds the vision tokens, of P tokens; I of them where images are
            shared and B where not.
        questions: (B, S) int64, what follows.
        mask: (B, P + S) bool, of both together, False on padding.
        padded: Whether there is padding in it.
    """

    images: ModelInputs
    questions: Tensor
    mask: Tensor
    padded: bool


def split_at_images(inputs: ModelInputs, images: int) -> Split | None:
    """What precedes and holds the vision tokens, once for each image that prompts share; and what
    follows.

    Questions of unequal length are padded behind their images, not before them: padding takes a
    mask, and a mask takes the half of attention that causality saves.

    Returns:
        None where nothing is gained, a prompt has nothing before or behind its image, or two about
        one image do not begin alike.
    """
    # Decided on the host, where every question is answered at once: asked one by one, a GPU that
    # still encodes would be waited for each time.
    device = inputs.input_ids.device
    ids, places, seen, index = (
        tensor.cpu()
        for tensor in (
            inputs.input_ids, inputs.image_input_idx, inputs.attention_mask, inputs.image_index
        )
    )  # fmt: skip
    starts = (~seen).sum(dim=1)  # (B,): the first token of each prompt,
    ends = places.flatten(1).amax(dim=1) + 1  # and the first behind its image
    alone = len(ids) == images
    if alone and not bool(starts.any()):
        return None
    if not bool(((starts < ends) & (ends < ids.shape[1])).all()):
        return None
    length = int((ends - starts).max())
    begin = ends - length  # (B,): where all are to begin, to end with the image
    columns = begin[:, None] + torch.arange(length)
    real = columns >= starts[:, None]  # (B, P)
    if alone and not bool(real.all()):
        return None
    beginnings = ids.gather(1, columns.clamp(min=0)).where(real, ids[:1, :1])
    places = places.where(places < 0, places - begin[:, None, None])
    read = torch.arange(len(ids))
    if not alone:
        read = _first_rows(index, images)
        of_same = read[index]  # (B,): the prompt that is read instead of each
        if not all(bool((part == part[of_same]).all()) for part in (real, beginnings, places)):
            return None
    prompts = ModelInputs(
        input_ids=beginnings[read].to(device),
        attention_mask=real[read].to(device),
        pixels=inputs.pixels,
        patch_mask=inputs.patch_mask,
        image_input_idx=places[read].to(device),
        image_index=index[read].to(device),
    )
    rest = torch.arange(int(ends.min()), ids.shape[1])
    mask = torch.cat([real, rest >= ends[:, None]], dim=1)
    return Split(prompts, ids[:, rest].to(device), mask.to(device), not bool(mask.all()))


@dataclass(frozen=True)
class _Reader:
    """What reads prompts about encoded images; arguments as of `prefill`."""

    model: Molmo
    features: Tensor
    sizes: Tensor | None
    knobs: DecoderKnobs

    def logits(self, cache: KeyValueCache, ids: Tensor, *images: Tensor, **told: Any) -> Tensor:
        """See `Molmo.decode`, which is told which blocks and experts run."""
        knobs = self.knobs
        return self.model.decode(
            ids, *images, cache=cache, active_blocks=knobs.active_blocks, top_k=knobs.top_k, **told
        )

    def whole(self, inputs: ModelInputs, new_tokens: int) -> Prefilled:
        """All prompts from beginning to end, each with its image."""
        batch, length = inputs.input_ids.shape
        cache, mask, bias = self._begun(inputs, new_tokens)
        logits = self.logits(
            cache,
            inputs.input_ids,
            self.features[inputs.image_index],
            inputs.image_input_idx,
            attention_mask=mask,
            logits_at=inputs.input_ids.new_full((batch, 1), length - 1),
            key_bias=bias,
        )
        return Prefilled(logits[:, -1], cache, mask, bias)

    def filled(self, images: ModelInputs, room: int) -> tuple[KeyValueCache, Tensor | None]:
        """The cache of images that prompts go on from, with room for more tokens, and their keys'
        bias, (B, T).
        """
        cache, mask, bias = self._begun(images, room)
        if mask is not None and bias is None and mask.device.type == "cpu":
            self._fill_one_by_one(cache, images)
            return cache, None
        self._fill(cache, images, mask, bias)
        return cache, bias

    def _fill_one_by_one(self, cache: KeyValueCache, images: ModelInputs) -> None:
        """Where images begin at different places: together they take a mask, and a mask takes the
        half of attention that causality saves.
        """
        places, length = images.image_input_idx, images.input_ids.shape[1]
        for row, padding in enumerate((~images.attention_mask).sum(dim=1).tolist()):
            alone = replace(
                images,
                input_ids=images.input_ids[row : row + 1, padding:],
                image_input_idx=places[row : row + 1].where(places[row] < 0, places[row] - padding),
                image_index=images.image_index[row : row + 1],
            )
            self._fill(cache.row(row, padding), alone, None, None)
        cache.count(length)

    def _fill(
        self, cache: KeyValueCache, images: ModelInputs, mask: Tensor | None, bias: Tensor | None
    ) -> None:
        self.model.fill(
            cache,
            images.input_ids,
            self.features[images.image_index],
            images.image_input_idx,
            mask,
            active_blocks=self.knobs.active_blocks,
            top_k=self.knobs.top_k,
            key_bias=bias,
        )

    def packed(self, parts: Split, packing: Packing, new_tokens: int) -> Prefilled:
        """Images, and questions behind them.

        Args:
            parts: What is read, and what follows.
            packing: Packing of the questions.
            new_tokens: As of `prefill`.
        """
        before = parts.images.attention_mask
        rows = in_rows(packing, parts.questions, parts.mask[:, before.shape[1] :])
        cache, bias = self.filled(parts.images, rows.ids.shape[1] + packing.most * new_tokens)
        seen = sight(before, rows, new_tokens, cache.dtype, bias)
        logits = self.logits(
            cache,
            rows.ids,
            attention_mask=seen.questions,
            position_ids=seen.positions,
            logits_at=(rows.ends - 1).clamp(min=0),
        )
        return Prefilled(packing.collect(logits), cache, None, packed=(packing, seen))

    def _begun(
        self, inputs: ModelInputs, room: int
    ) -> tuple[KeyValueCache, Tensor | None, Tensor | None]:
        """An empty cache for prompts and more tokens; the prompts' mask, (B, T) bool, and their
        keys' bias, (B, T).
        """
        (batch, length), model, blocks = (
            inputs.input_ids.shape,
            self.model,
            self.knobs.active_blocks,
        )
        cache = KeyValueCache(
            model.config.decoder,
            batch,
            length + room,
            model.transformer.devices_of(blocks),
            self.features.dtype,
            blocks,
        )
        mask = None if bool(inputs.attention_mask.all()) else inputs.attention_mask
        bias = None if self.sizes is None else _key_bias(inputs, self.sizes, self.features.dtype)
        return cache, mask, bias


def _key_bias(inputs: ModelInputs, sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, T): the logarithm of how often each token counts, 0 for those of the text."""
    places = inputs.image_input_idx.flatten(1)  # (B, N · K)
    logarithms = sizes[inputs.image_index].flatten(1).log().where(places >= 0, 0)
    bias = logarithms.new_zeros(inputs.input_ids.shape)
    # Added, not set: a token that is dropped adds nothing wherever it is sent.
    return bias.scatter_add(1, places.clamp(min=0), logarithms).to(dtype)


def _first_rows(image_index: Tensor, images: int) -> Tensor:
    """(I,) int64: the first prompt about each image."""
    rows = torch.arange(len(image_index), device=image_index.device)
    first = rows.new_full((images,), len(rows) - 1)
    return first.scatter_reduce_(0, image_index, rows, "amin")
