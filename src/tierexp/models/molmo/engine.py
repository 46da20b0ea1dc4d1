"""A Molmo that answers: generation, control knobs and cost around the network.

In: the network with its weights, and batches of prompts with images (`ModelInputs`). Out: greedily
generated ids. Knows nothing about files, tokenizers or how an image was cut into crops; the network
(`model`) computes logits and knows nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.flops import stage_flops
from tierexp.models.molmo.generation import generate_greedily
from tierexp.models.molmo.model import Molmo
from tierexp.models.protocol import ModelInputs, Reduction
from tierexp.models.stages import UNTIMED, StageClock, StageFlops


class MolmoEngine:
    """A `MeasurableModel`. Its knobs can be turned at any time: `top_k`, experts per token, None
    for a dense model; and `active_blocks`, the numbers of the decoder blocks that run.

    Args:
        network: In the mode and precision it is to run in, on its device.
        end_of_text_id: Ends an answer; None lets every answer run to its longest.
    """

    def __init__(self, network: Molmo, end_of_text_id: int | None = None) -> None:
        self.network = network
        self.end_of_text_id = end_of_text_id
        self.top_k = network.config.decoder.top_k
        self.active_blocks: Sequence[int] = range(network.config.decoder.num_layers)
        self.reduction: Reduction | None = None
        """Set by a knob that throws vision tokens away."""
        self._compiled_backbone: Callable[[Tensor, Tensor], Tensor] | None = None

    def run_blocks(self, numbers: Sequence[int]) -> None:
        """Leave out the other decoder blocks, which then cost neither time nor cache.

        Args:
            numbers: Of the blocks that run, ascending.
        """
        self.active_blocks = tuple(numbers)

    @property
    def num_active_blocks(self) -> int:
        """Decoder blocks that run."""
        return len(self.active_blocks)

    @property
    def decoder_blocks(self) -> nn.ModuleList:
        """All of them, those that are set not to run too."""
        return self.network.transformer.blocks

    @property
    def knobs(self) -> DecoderKnobs:
        """What of the decoder runs as the knobs are set now."""
        return DecoderKnobs(tuple(self.active_blocks), self.top_k)

    def vision_features(self, crops: Tensor, patch_mask: Tensor) -> Tensor:
        """As `Molmo.vision_features`, by compiled code where that is wanted."""
        if self._compiled_backbone is None:
            return self.network.vision_features(crops, patch_mask)
        # One number varies, however many images of however many crops: one compilation serves all.
        together = [tensor.flatten(0, 1)[None] for tensor in (crops, patch_mask)]
        for tensor in together:
            torch._dynamo.maybe_mark_dynamic(tensor, 1)
        return self._compiled_backbone(*together).view(
            *crops.shape[:2], -1, self.network.config.decoder.width
        )

    def compile_vision(self, wanted: bool) -> None:
        """Let `torch.compile` make the code of the vision backbone, or not; results are equal up to
        rounding, and the first batch waits for the compiler.

        The decoder is not compiled: on a CPU, with torch 2.13, a step of decoding over a cache of
        fixed size took a seventh less time for one sample of the model in the box, but four times
        as much for eight, as the experts of each token are then looked up and multiplied apart.
        """
        backbone = self.network.vision_backbone
        self._compiled_backbone = torch.compile(backbone.forward) if wanted else None

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
            features = self.vision_features(inputs.crops, inputs.patch_mask)
            if self.reduction is not None:
                inputs, features = self.reduction(inputs, features)
        return generate_greedily(
            self.network,
            inputs,
            features,
            max_new_tokens,
            self.knobs,
            self.end_of_text_id,
            clock,
            fixed_length,
            observer,
        )

    @torch.inference_mode()
    def read(self, inputs: ModelInputs) -> None:
        """Run prompts through all decoder blocks, see `MeasurableModel`."""
        features = self.vision_features(inputs.crops, inputs.patch_mask)
        self.network.decode(
            inputs.input_ids,
            features[inputs.image_index],
            inputs.image_input_idx,
            attention_mask=inputs.attention_mask,
            logits_at=inputs.input_ids.new_zeros(len(inputs.input_ids), 1),
            top_k=self.top_k,
        )

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops | None:
        """The estimated cost of one sample's answer of so many tokens; None where a knob throws
        tokens away, whose own cost nobody knows here.
        """
        if self.reduction is not None:
            return None
        return stage_flops(
            self.network.config,
            views=inputs.crops.shape[1],
            prompt_tokens=inputs.input_ids.shape[1],
            new_tokens=new_tokens,
            num_active_blocks=self.num_active_blocks,
            top_k=self.top_k,
        )
