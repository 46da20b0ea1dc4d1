"""Molmo: vision backbone and decoder joined.

In: a batch of prompts with images (`ModelInputs`). Out: logits, or greedily generated ids. Knows
nothing about files, tokenizers or how an image was cut into crops. Follows "Molmo and PixMo"
(2024); the sizes come from `MolmoConfig`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.decoder import Decoder
from tierexp.models.molmo.flops import stage_flops
from tierexp.models.molmo.generation import generate_greedily
from tierexp.models.molmo.initialisation import initialise
from tierexp.models.molmo.masks import causal_mask, token_positions
from tierexp.models.molmo.vision_backbone import VisionBackbone
from tierexp.models.protocol import ModelInputs
from tierexp.models.stages import UNTIMED, StageClock, StageFlops


class Molmo(nn.Module):
    """A vision-language model; random weights that can be trained, until a checkpoint is read.

    Two control knobs can be turned at any time: `top_k`, and `active_blocks`, the decoder blocks
    that run.

    Args:
        config: All sizes.
        end_of_text_id: Ends an answer; None lets every answer run to its longest.
    """

    def __init__(self, config: MolmoConfig, end_of_text_id: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.end_of_text_id = end_of_text_id
        self.vision_backbone = VisionBackbone(config)
        self.transformer = Decoder(config.decoder)
        self.lm_head = nn.Linear(config.decoder.width, config.decoder.vocab_size, bias=False)
        self.top_k = config.decoder.top_k
        self.active_blocks: Sequence[int] = range(config.decoder.num_layers)
        self._compiled_backbone: Callable[[Tensor, Tensor], Tensor] | None = None
        self.reset_parameters()

    @property
    def num_active_blocks(self) -> int:
        """Decoder blocks that run."""
        return len(self.active_blocks)

    @property
    def decoder_blocks(self) -> nn.ModuleList:
        """All of them, those that are set not to run too."""
        return self.transformer.blocks

    def reset_parameters(self) -> None:
        """Draw fresh random weights, fit for training from nothing."""
        initialise(self)

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
        return self.vision_features(inputs.crops, inputs.patch_mask)[inputs.image_index]

    def vision_features(self, crops: Tensor, patch_mask: Tensor) -> Tensor:
        """Every vision token, whether or not the decoder receives it.

        Args:
            crops: (B, N, S, S, 3), see `ModelInputs`.
            patch_mask: (B, N, P).

        Returns:
            (B, N, K, C) with the decoder's width C.
        """
        if self._compiled_backbone is None:
            features: Tensor = self.vision_backbone(crops, patch_mask)
            return features
        # One number varies, however many images of however many crops: one compilation serves all.
        together = [tensor.flatten(0, 1)[None] for tensor in (crops, patch_mask)]
        for tensor in together:
            torch._dynamo.maybe_mark_dynamic(tensor, 1)
        return self._compiled_backbone(*together).view(
            *crops.shape[:2], -1, self.config.decoder.width
        )

    def compile_vision(self, wanted: bool) -> None:
        """Let `torch.compile` make the code of the vision backbone, or not; results are equal up to
        rounding, and the first batch waits for the compiler.

        The decoder is not compiled: on a CPU, with torch 2.13, a step of decoding over a cache of
        fixed size took a seventh less time for one sample of the model in the box, but four times
        as much for eight, as the experts of each token are then looked up and multiplied apart.
        """
        self._compiled_backbone = torch.compile(self.vision_backbone.forward) if wanted else None

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
        cache: KeyValueCache | None = None,
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
            active_blocks: The decoder blocks that run; None for the model's own setting.
            top_k: Experts per token; None for the model's own setting.
            cache: Earlier tokens; extended by these.

        Returns:
            (B, T or P, vocab_size).
        """
        x = self.transformer.wte(input_ids)  # (B, T, C)
        if image_features is not None and image_input_idx is not None:
            x = _add_at(x, image_features, image_input_idx)
        batch, length = input_ids.shape
        seen = 0 if cache is None else cache.length
        if position_ids is None:
            if attention_mask is not None and attention_mask.dim() == 2:
                position_ids = token_positions(attention_mask)[:, -length:]
            else:
                positions = torch.arange(seen, seen + length, device=x.device)
                position_ids = positions.expand(batch, -1)
        hidden = self.transformer(
            x,
            position_ids,
            _attention(attention_mask, length, seen, x.device),
            active_blocks=self.active_blocks if active_blocks is None else active_blocks,
            top_k=self.top_k if top_k is None else top_k,
            cache=cache,
        )
        if logits_at is not None:
            hidden = hidden.gather(1, logits_at.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        logits: Tensor = self.lm_head(hidden)
        return logits

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
        """Greedy answers, (B, L <= max_new_tokens) int64, see `generate_greedily`."""
        with clock.stage("vision"):
            features = self.vision_features(inputs.crops, inputs.patch_mask)
        return generate_greedily(
            self, inputs, features, max_new_tokens, clock, fixed_length, observer
        )

    @torch.inference_mode()
    def read(self, inputs: ModelInputs) -> None:
        """Run prompts through all decoder blocks, see `MeasurableModel`."""
        self.decode(
            inputs.input_ids,
            self.image_features(inputs),
            inputs.image_input_idx,
            attention_mask=inputs.attention_mask,
            logits_at=inputs.input_ids.new_zeros(len(inputs.input_ids), 1),
            active_blocks=range(len(self.decoder_blocks)),
        )

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops:
        """The estimated cost of one sample's answer of so many tokens."""
        return stage_flops(
            self.config,
            views=inputs.crops.shape[1],
            prompt_tokens=inputs.input_ids.shape[1],
            new_tokens=new_tokens,
            num_active_blocks=self.num_active_blocks,
            top_k=self.top_k,
        )


def _add_at(x: Tensor, features: Tensor, positions: Tensor) -> Tensor:
    """Add `features` (B, N, K, C) to `x` (B, T, C) at `positions` (B, N, K), unless negative."""
    batch, length, width = x.shape
    rows = torch.arange(batch, device=x.device).view(-1, 1, 1) * length
    kept = positions >= 0
    places = (rows + positions)[kept]  # (kept,)
    added = x.reshape(-1, width).index_add(0, places, features[kept].to(x.dtype))
    return added.view_as(x)


def _attention(
    attention_mask: Tensor | None, queries: int, seen: int, device: torch.device
) -> Tensor | None:
    """The mask for `SelfAttention`; None where plain causal attention is the same and faster."""
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask
    unpadded = attention_mask is None or bool(attention_mask.all())
    if unpadded and (seen == 0 or queries == 1):
        return None
    if attention_mask is None:
        attention_mask = torch.ones(1, seen + queries, dtype=torch.bool, device=device)
    return causal_mask(attention_mask, queries)
