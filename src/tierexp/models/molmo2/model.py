"""`transformers`' Molmo2 as the rest of the project sees a model.

In: a batch of prompts with images (`ModelInputs`), their crops selected and cut by this project.
Out: greedily generated ids. The network is `Molmo2ForConditionalGeneration` as it is; here its
stages are run one by one, so that an image is encoded once for all its prompts and each stage can
be timed, and some of its blocks can be left out. Follows "Molmo2" (2025) as far as that class does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import DynamicCache, Molmo2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.knobs.reduction.flops import comparing_flops
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, Reduction
from tierexp.models.library_decoder import cache_bytes, keep_blocks
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo2.flops import stage_flops
from tierexp.models.molmo2.pooling import pooled_patches
from tierexp.models.molmo2.prompt import Molmo2ImageTokens
from tierexp.models.molmo2.reduction import reduced
from tierexp.models.molmo2.settings import Molmo2Settings
from tierexp.models.patches import normalised_patches
from tierexp.models.stages import UNTIMED, StageClock, StageFlops


class Molmo2(nn.Module):
    """A `VisionLanguageModel`.

    Args:
        network: With its weights.
        settings: How its images are cut and normalised.
        image_tokens: Ids of the special tokens around an image; they attend to each other both
            ways.
        end_ids: What ends an answer; the first one fills up an answer that has ended.
    """

    def __init__(
        self,
        network: Molmo2ForConditionalGeneration,
        settings: Molmo2Settings,
        image_tokens: Molmo2ImageTokens,
        end_ids: Sequence[int],
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.image_tokens = image_tokens
        self.end_ids = tuple(end_ids)
        self.active_blocks: tuple[int, ...] = tuple(range(settings.num_blocks))
        self.token_reduction: Reduction = NO_REDUCTION
        """Which vision tokens the decoder reads; the group `reduction`."""
        decoder = network.model.language_model
        # The decoder is given a list of the blocks that run; all of them are kept here.
        self.decoder_blocks: nn.ModuleList = decoder.layers
        self._rope_types: list[str] = list(decoder.rope_types)

    @property
    def top_k(self) -> None:
        """Molmo2 is dense."""
        return None

    @property
    def num_active_blocks(self) -> int:
        """Decoder blocks that run."""
        return len(self.active_blocks)

    def run_blocks(self, numbers: Sequence[int]) -> None:
        """Leave out the other blocks, which then cost neither time nor cache.

        Args:
            numbers: Numbers of the blocks that run, ascending.
        """
        decoder = self.network.model.language_model
        keep_blocks(decoder, self.decoder_blocks, numbers)
        decoder.rope_types = [self._rope_types[number] for number in numbers]
        self.active_blocks = tuple(numbers)

    @torch.inference_mode()
    def vision_features(self, inputs: ModelInputs) -> list[Tensor]:
        """The vision tokens, (L, C), of every image of a batch, in the order of the prompt."""
        patches = pooled_patches(inputs, self.settings.geometry)
        pixels = normalised_patches(
            inputs.pixels.flatten(0, 1),
            self.settings.geometry.patch_size,
            self.settings.image_mean,
            self.settings.image_std,
        )
        # Of a grid the network uses the number of tokens alone, to tell images apart.
        grids = torch.tensor([[len(tokens), 1, 0, 0] for tokens in patches])
        per_image = inputs.pixels.shape[1] * pixels.shape[1]
        pooling = torch.cat(
            [
                torch.where(tokens < 0, tokens, tokens + image * per_image)
                for image, tokens in enumerate(patches)
            ]
        )
        encoded = self.network.model.get_image_features(pixels, pooling, grids)
        return list(encoded.pooler_output)

    @torch.inference_mode()
    def generate(
        self,
        inputs: ModelInputs,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> Tensor:
        """Greedy answers, (B, L <= max_new_tokens) int64, see `VisionLanguageModel`."""
        if max_new_tokens < 1:
            return inputs.input_ids.new_empty(len(inputs.input_ids), 0)
        with clock.stage("vision"):
            features = self.vision_features(inputs)
        with clock.stage("prefill"):
            inputs, features = reduced(
                inputs, features, self.token_reduction, self.image_tokens.im_patch
            )
            cache = DynamicCache()
            mask = inputs.attention_mask.long()
            images = self._images(inputs, features)
            token, logits = self._next_token(inputs.input_ids, mask, cache, **images)
            observer.chosen(logits, token, None)
        answers = [token]
        with clock.stage("decode"):
            ends = token.new_tensor(self.end_ids)
            finished = torch.zeros_like(token, dtype=torch.bool)
            while len(answers) < max_new_tokens:
                finished |= torch.isin(token, ends)
                if not fixed_length and bool(finished.all()):
                    break
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
                token, logits = self._next_token(token.unsqueeze(1), mask, cache)
                token = token.masked_fill(finished, self.end_ids[0])
                observer.chosen(logits, token, ~finished)
                answers.append(token)
        return torch.stack(answers, dim=1)

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops:
        """The estimated cost of one sample's answer of so many tokens; what deciding which vision
        tokens to keep costs is the prefill's.
        """
        vision = int((inputs.input_ids[0] == self.image_tokens.im_patch).sum())
        kept = self.token_reduction.count(vision)
        flops = stage_flops(
            self.network.config,
            self.settings.geometry,
            views=inputs.pixels.shape[1],
            vision_tokens=vision,
            prompt_tokens=inputs.input_ids.shape[1] - vision + kept,
            new_tokens=new_tokens,
            num_active_blocks=self.num_active_blocks,
        )
        width: int = self.network.config.text_config.hidden_size
        return flops.with_extra(prefill=comparing_flops(self.token_reduction, vision, width))

    def cache_bytes(self, inputs: ModelInputs, new_tokens: int) -> int:
        """What the keys and values of one sample and its answer of so many tokens take; the last
        token is not read.
        """
        vision = int((inputs.input_ids[0] == self.image_tokens.im_patch).sum())
        left = inputs.input_ids.shape[1] - vision + self.token_reduction.count(vision)
        config, size = self.network.config.text_config, self.network.dtype.itemsize
        return cache_bytes(config, self.num_active_blocks, left + new_tokens - 1, size)

    @torch.inference_mode()
    def read(self, inputs: ModelInputs) -> None:
        """Run prompts through all decoder blocks, see `MeasurableModel`."""
        running = self.active_blocks
        self.run_blocks(range(self.settings.num_blocks))
        try:
            images = self._images(inputs, self.vision_features(inputs))
            mask = inputs.attention_mask.long()
            self._next_token(inputs.input_ids, mask, DynamicCache(), **images)
        finally:
            self.run_blocks(running)

    def _images(self, inputs: ModelInputs, features: Sequence[Tensor]) -> dict[str, object]:
        """What the network is told of a batch's images, once they are encoded."""
        tokens = inputs.input_ids.new_tensor(self.image_tokens.all)
        of_prompts = tuple(features[image] for image in inputs.image_index.tolist())
        return {
            # An image's tokens see each other both ways, starts, ends and row ends included.
            "mm_token_type_ids": torch.isin(inputs.input_ids, tokens).long(),
            "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=of_prompts)},
        }

    def _next_token(
        self, input_ids: Tensor, mask: Tensor, cache: DynamicCache, **image: object
    ) -> tuple[Tensor, Tensor]:
        """The likeliest token (B,) after `input_ids` (B, T), the last ones that `mask` is about,
        and the logits (B, vocab_size) it is chosen from.
        """
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
        output = self.network(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions,
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
            **image,
        )
        logits: Tensor = output.logits[:, -1]
        return logits.argmax(dim=-1), logits
