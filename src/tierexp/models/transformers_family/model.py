"""A vision-language model of `transformers` as the rest of the project sees a model.

In: batches as the family's own processor makes them. Out: greedily generated ids, by the library's
own `generate`; who watches is told of every token and of the stages. Some of the decoder's blocks
can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessorList

from tierexp.errors import ConfigError
from tierexp.models.confidence import UNOBSERVED, AnswerFacts, AnswerObserver, ConfidenceMeter
from tierexp.models.knobs.reduction.flops import comparing_flops
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, OF_CLASS_TOKEN, Reduction
from tierexp.models.library_decoder import cache_bytes, decoder_of, keep_blocks
from tierexp.models.plans.family import LibraryClasses
from tierexp.models.plans.plan import Grid
from tierexp.models.stages import UNTIMED, StageClock, StageFlops
from tierexp.models.transformers_family.encoded import encode
from tierexp.models.transformers_family.flops import Lengths, stage_flops
from tierexp.models.transformers_family.inputs import FamilyInputs, ProcessedRows
from tierexp.models.transformers_family.reduction import reduced


class FamilyModel:
    """A `VisionLanguageModel`; no module, so that nobody moves a network on several devices.

    Args:
        network: The library's, with its weights.
        image_token: Id of the placeholder that an image's tokens take the place of.
        end_ids: What ends an answer; the first one fills up an answer that has ended.
        library: The family's.
    """

    def __init__(
        self,
        network: Any,
        image_token: int,
        end_ids: Sequence[int],
        library: LibraryClasses,
    ) -> None:
        self._library = library
        self.network = network
        self.image_token = image_token
        self.end_ids = tuple(end_ids)
        # The decoder is given a list of the blocks that run; all of them are kept here.
        self.decoder_blocks: nn.ModuleList = self._decoder.layers
        self.active_blocks: tuple[int, ...] = tuple(range(len(self.decoder_blocks)))
        self._layer_types = list(getattr(self._decoder.config, "layer_types", None) or ())
        self.token_reduction: Reduction = NO_REDUCTION
        """Which vision tokens the decoder reads; the group `reduction`."""

    @property
    def _decoder(self) -> Any:
        return decoder_of(self.network)

    @property
    def num_active_blocks(self) -> int:
        """Decoder blocks that run."""
        return len(self.active_blocks)

    def run_blocks(self, numbers: Sequence[int]) -> None:
        """Leave out the other blocks, which then cost neither time nor cache.

        Args:
            numbers: Numbers of the blocks that run, ascending.
        """
        decoder = self._decoder
        keep_blocks(decoder, self.decoder_blocks, numbers)
        decoder.config.num_hidden_layers = len(numbers)
        if self._layer_types:
            # Masks and cache go by place in the list.
            decoder.config.layer_types = [self._layer_types[number] for number in numbers]
        self.active_blocks = tuple(numbers)

    def generate(
        self,
        inputs: FamilyInputs,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> Tensor:
        """Greedy answers, (B, L <= max_new_tokens) int64, see `VisionLanguageModel`.

        Raises:
            ConfigError: The checkpoint's processor makes another number of tokens than the plan.
        """
        device = next(iter(inputs.parts[0].tensors.values())).device
        if max_new_tokens < 1:
            return torch.empty(len(inputs), 0, dtype=torch.long, device=device)
        answers: list[Tensor] = [torch.empty(0)] * len(inputs)
        facts = [AnswerFacts()] * len(inputs)
        for part in inputs.parts:
            self._check(inputs, part)
            meter = UNOBSERVED if observer is UNOBSERVED else ConfidenceMeter()
            told = self._told(inputs, part, clock)
            rows = self._generate(told, max_new_tokens, clock, fixed_length, meter)
            for number, place in enumerate(part.places):
                answers[place] = rows[number]
                if isinstance(meter, ConfidenceMeter):
                    facts[place] = meter.facts(len(rows))[number]
        if observer is not UNOBSERVED:
            observer.answered(facts)
        return torch.nn.utils.rnn.pad_sequence(
            answers, batch_first=True, padding_value=self.end_ids[0]
        )

    def stage_flops(self, inputs: FamilyInputs, new_tokens: int) -> StageFlops:
        """The estimated cost of one sample's answer of so many tokens, see `stage_flops`; what
        deciding which vision tokens to keep costs is the prefill's.
        """
        tensors = inputs.parts[0].tensors
        config, reduction = self.network.config, self.token_reduction
        grids = _patch_grids(tensors, config.vision_config.patch_size)
        vision, left = self._lengths(inputs)
        count = self._library.vision_flops
        encoding = None if count is None else count(config, grids)
        flops = stage_flops(encoding, self._decoder.config, Lengths(left, new_tokens))
        width, key_width = self._decoder.config.hidden_size, 0
        asking = 0
        if reduction.method in OF_CLASS_TOKEN and left < tensors["input_ids"].shape[1]:
            encoder = config.vision_config
            key_width = encoder.hidden_size // encoder.num_attention_heads
            # The class token's attention weights once more.
            asking = sum(2 * (rows * cols + 1) * encoder.hidden_size for rows, cols in grids)
        deciding = comparing_flops(reduction, vision, width, key_width)
        return flops.with_extra(vision=asking, prefill=deciding)

    def cache_bytes(self, inputs: FamilyInputs, new_tokens: int) -> int:
        """What the keys and values of one sample and its answer of so many tokens take; the last
        token is not read.
        """
        _, left = self._lengths(inputs)
        config, size = self._decoder.config, self.network.dtype.itemsize
        return cache_bytes(config, self.num_active_blocks, left + new_tokens - 1, size)

    def _lengths(self, inputs: FamilyInputs) -> tuple[int, int]:
        """One sample's vision tokens, and the tokens of its prompt that the decoder reads."""
        ids = inputs.parts[0].tensors["input_ids"][0]
        vision = int((ids == self.image_token).sum())
        return vision, len(ids) - vision + self.token_reduction.count(vision)

    def _check(self, inputs: FamilyInputs, part: ProcessedRows) -> None:
        made = (part.tensors["input_ids"] == self.image_token).sum(dim=1).tolist()
        for place, tokens in zip(part.places, made, strict=True):
            image = inputs.rows[place].image
            if tokens != image.vision_tokens:
                height, width = image.pixels.shape[:2]
                allowed = (
                    f"one whose processor makes {image.vision_tokens} tokens of an image of "
                    f"{width} x {height} pixels, as the family's plan says, not {tokens}"
                )
                raise ConfigError("model.checkpoint", self.network.name_or_path, allowed)

    @torch.inference_mode()
    def _told(self, inputs: FamilyInputs, part: ProcessedRows, clock: StageClock) -> dict[str, Any]:
        """What the library's `generate` is told of rows that were processed together."""
        dtype = self.network.dtype
        tensors = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in part.tensors.items()
        }
        counts = (tensors["input_ids"] == self.image_token).sum(dim=1).tolist()
        if all(self.token_reduction.count(count) == count for count in counts):
            return tensors
        asks = self.token_reduction.method in OF_CLASS_TOKEN
        with clock.stage("vision"):
            encoded = encode(self.network, tensors, counts, self._library, class_token=asks)
        pixels = [torch.from_numpy(inputs.rows[place].image.pixels) for place in part.places]
        with clock.stage("prefill"):
            return reduced(
                self.network,
                tensors,
                encoded,
                self.token_reduction,
                self.image_token,
                pixels,
                self._library,
            )

    @torch.inference_mode()
    def _generate(
        self,
        told: Mapping[str, Any],
        max_new_tokens: int,
        clock: StageClock,
        fixed_length: bool,
        observer: AnswerObserver,
    ) -> Tensor:
        """The answers of rows that were processed together, (R, L)."""
        # The checkpoint's own settings may sample; what ends an answer is taken from them before.
        how = GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            min_new_tokens=max_new_tokens if fixed_length else None,
            eos_token_id=list(self.end_ids),
            pad_token_id=self.end_ids[0],
        )
        # The library fills it up from the checkpoint's settings, such as a repetition penalty.
        self.network.generation_config = how
        length = told["input_ids"].shape[1]
        with ExitStack() as stages, _vision(self.network.model, stages, clock):
            stages.enter_context(clock.stage("prefill"))
            watch = _Watch(length, self.end_ids, stages, clock, observer)
            ids: Tensor = self.network.generate(
                **told, generation_config=how, logits_processor=LogitsProcessorList([watch])
            )
        return ids[:, length:]


def _patch_grids(tensors: Mapping[str, Tensor], patch: int | Sequence[int]) -> list[Grid]:
    """Rows and columns of patches of every image that the encoder sees of one sample."""
    if "image_grid_thw" in tensors:
        return [(rows, cols) for _, rows, cols in tensors["image_grid_thw"].tolist()]
    *_, height, width = pixels = tensors["pixel_values"].shape
    side = patch if isinstance(patch, int) else patch[0]
    return [(height // side, width // side)] * prod(pixels[:-3])


class _Watch:
    """Tells of every token before it is chosen, and changes nothing."""

    def __init__(
        self,
        length: int,
        end_ids: Sequence[int],
        stages: ExitStack,
        clock: StageClock,
        observer: AnswerObserver,
    ) -> None:
        self._length = length
        self._ends = end_ids
        self._stages = stages
        self._clock = clock
        self._observer = observer
        self._begun = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        answered = input_ids[:, self._length :]
        ends = torch.isin(answered, answered.new_tensor(self._ends))
        going_on = ~ends.any(dim=1) if answered.shape[1] else None
        self._observer.chosen(scores, scores.argmax(dim=-1), going_on)
        if not self._begun:
            self._begun = True
            self._stages.close()
            self._stages.enter_context(self._clock.stage("decode"))
        return scores


@contextmanager
def _vision(inner: Any, stages: ExitStack, clock: StageClock) -> Iterator[None]:
    """Time the encoder apart from the prompt that its features are a part of."""
    encode = inner.get_image_features

    @wraps(encode)  # `generate` reads its signature
    def timed(*arguments: Any, **named: Any) -> Any:
        stages.close()
        with clock.stage("vision"):
            features = encode(*arguments, **named)
        stages.enter_context(clock.stage("prefill"))
        return features

    inner.get_image_features = timed
    try:
        yield
    finally:
        del inner.get_image_features
