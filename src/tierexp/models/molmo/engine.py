"""A Molmo that answers: generation, control knobs and cost around the network.

In: the network with its weights, and batches of prompts with images (`ModelInputs`). Out: greedily
generated ids. Knows nothing about files, tokenizers or how an image was cut into crops; the network
(`model`) computes logits and knows nothing of this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.errors import ConfigError
from tierexp.models.backend import Backend
from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.knobs.reduction import settings
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, DecoderReduction
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.encoded_memory import EncodedMemory
from tierexp.models.molmo.experts import Experts, grouped_product_waits
from tierexp.models.molmo.fixed_decoding import FixedDecoders
from tierexp.models.molmo.flops import stage_flops
from tierexp.models.molmo.generation import generate_greedily
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs, Reduction
from tierexp.models.molmo.prefill import Prefilled, prefill
from tierexp.models.molmo.pruned_prefill import pruned_prefill
from tierexp.models.molmo.reduction import LOOKS_AT_ENCODER, reduced
from tierexp.models.molmo.reduction_flops import (
    PromptTokens,
    deciding_flops,
    encoder_flops,
)
from tierexp.models.molmo.shared_view import SharedView
from tierexp.models.molmo.side_by_side import SideBySide, parts_by_image
from tierexp.models.molmo.vision_backbone import Encoded, ViewEncoder, compiled
from tierexp.models.stages import UNTIMED, StageClock, StageFlops

SHARED_WEIGHTS = 2**26
"""Bytes of a decoder from which a CPU reads it from memory for every token: by all rows together,
not by each part of a batch for itself."""


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
        self.own_reduction: Reduction | None = None
        """Set by a knob of one's own that throws vision tokens away."""
        self.token_reduction: settings.Reduction = NO_REDUCTION
        """Which vision tokens the decoder reads, and keeps: the group `reduction`."""
        self.memory: EncodedMemory | None = None
        """What images that were encoded before have given; answers that are timed do without."""
        self.shared_view = SharedView()
        """What it knows of images that are asked about in several passes."""
        self.fixed_decoders: FixedDecoders | None = None
        """Take the steps of decoding where that is wanted (`decode_in_graphs`)."""
        self._side_by_side = SideBySide()
        self._decoder_bytes = sum(p.nbytes for p in network.transformer.blocks.parameters())
        self._backend: Backend = "eager"
        self._encoder: ViewEncoder = network.vision_backbone.views

    def run_blocks(self, numbers: Sequence[int]) -> None:
        """Leave out the other decoder blocks, which then cost neither time nor cache.

        Args:
            numbers: Numbers of the blocks that run, ascending.
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

    def vision_features(
        self, pixels: Tensor, patch_mask: Tensor, received: Tensor | None = None
    ) -> Tensor:
        """As `Molmo.vision_features`, by the backend that is set, less what an earlier pass over
        the same images has encoded.
        """
        return self.shared_view.encode(pixels, patch_mask, received, self._encode)

    def earlier_views(self, inputs: ModelInputs) -> list[bool]:
        """Whether, for every prompt, its global view is not encoded again, see `SharesView`."""
        if self.memory is not None or self.token_reduction.method in LOOKS_AT_ENCODER:
            return [False] * len(inputs)
        known = self.shared_view.known(inputs.pixels, inputs.patch_mask)
        return [known[image] for image in inputs.image_index.tolist()]

    def _encode(self, pixels: Tensor, patch_mask: Tensor, received: Tensor | None) -> Tensor:
        if self._backend == "eager":  # as a module, so that its hooks are heard
            return self.network.vision_features(pixels, patch_mask, received)
        return self.network.vision_backbone.in_parts(self._encoder, pixels, patch_mask)

    def remember(self, num_bytes: int) -> None:
        """Keep encoded images, up to so many bytes of them, for those that come again; 0 for
        none.
        """
        if self.memory is None or self.memory.capacity != num_bytes:
            self.memory = EncodedMemory(num_bytes) if num_bytes else None

    def encode_with(self, backend: Backend) -> None:
        """Choose what runs the vision backbone; results are equal up to rounding.

        The decoder stays as it is: on a CPU, with torch 2.13, a compiled step of decoding over a
        cache of fixed size took a seventh less time for one sample of the model in the box, but
        four times as much for eight, as the experts of each token are then looked up and multiplied
        apart.

        Args:
            backend: `compile` is torch's compiler, at the first batch; `openvino` is Intel's, now.

        Raises:
            ConfigError: OpenVINO, and a device or a precision that it is not used with.
        """
        if backend == self._backend:
            return
        backbone = self.network.vision_backbone
        if backend == "openvino":
            from tierexp.models.molmo.openvino_encoder import OpenVinoEncoder

            self._encoder = OpenVinoEncoder(backbone)
        else:
            self._encoder = compiled(backbone) if backend == "compile" else backbone.views
        self._backend = backend

    def decode_in_graphs(self, wanted: bool) -> None:
        """Take the steps of decoding in a cache of fixed size, as CUDA graphs, or not; results are
        equal up to rounding.

        Raises:
            ConfigError: Wanted of a device that has no CUDA graphs, or of a mixture of experts
                whose products wait for the device there.
        """
        device = self.network.lm_head.weight.device
        if wanted and device.type != "cuda":
            raise ConfigError("model.cuda_graphs", wanted, f"false on this device, {device}")
        if wanted and self._experts_wait(device):
            allowed = "false: a mixture of experts needs bfloat16 and a Hopper GPU or later for it"
            raise ConfigError("model.cuda_graphs", wanted, allowed)
        if not wanted:
            self.fixed_decoders = None
        elif self.fixed_decoders is None:
            self.fixed_decoders = FixedDecoders(self.network)

    def _experts_wait(self, device: torch.device) -> bool:
        dtype = self.network.lm_head.weight.dtype
        return any(
            not layer.grouped_product_fits(dtype)
            or grouped_product_waits(dtype, torch.cuda.get_device_capability(device))
            for layer in self.network.modules()
            if isinstance(layer, Experts)
        )

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
        parts = self._parts(inputs) if clock is UNTIMED else []
        if len(parts) < 2:
            return self._answers(inputs, max_new_tokens, clock, fixed_length, observer)
        observers = observer.of_parts(parts)

        @torch.inference_mode()
        def answer(number: int) -> Tensor:
            part = inputs.select(parts[number])
            return self._answers(part, max_new_tokens, clock, fixed_length, observers[number])

        answers = self._side_by_side(answer, range(len(parts)))
        longest = max(answer.shape[1] for answer in answers)
        # Unless answers end, all are of one length.
        end = self.end_of_text_id or 0
        return torch.cat(
            [F.pad(answer, (0, longest - answer.shape[1]), value=end) for answer in answers]
        )

    def _parts(self, inputs: ModelInputs) -> list[range]:
        """Rows of a batch that are answered side by side; one part where what answers is not
        made for several threads, or reads weights from memory that all rows can share.
        """
        network = self.network
        alone = (
            network.lm_head.weight.device.type != "cpu"
            or torch.get_num_threads() == 1
            or self._backend != "eager"
            or self.memory is not None
            or self.shared_view.on
            or self.own_reduction is not None
            or self.fixed_decoders is not None
            or self.token_reduction.method in LOOKS_AT_ENCODER
            or self._decoder_bytes > SHARED_WEIGHTS
        )
        most = 1 if alone else torch.get_num_threads()
        return parts_by_image(inputs.image_index, most)

    def _answers(
        self,
        inputs: ModelInputs,
        max_new_tokens: int,
        clock: StageClock,
        fixed_length: bool,
        observer: AnswerObserver,
    ) -> Tensor:
        """As `generate`, of all rows at once."""
        with clock.stage("vision"):
            if clock is UNTIMED and self.memory is not None:
                encoded = self.memory.recall(
                    inputs.pixels,
                    inputs.patch_mask,
                    lambda: self.network.vision_backbone.encode(inputs.pixels, inputs.patch_mask),
                )
            else:
                encoded = self.encoded(inputs)
            if self.own_reduction is not None:
                inputs, features = self.own_reduction(inputs, encoded.features)
                encoded = Encoded(features)
        return generate_greedily(
            self.network,
            lambda room: self._prefill(inputs, encoded, room),
            max_new_tokens,
            self.knobs,
            self.end_of_text_id,
            clock,
            fixed_length,
            observer,
            self.fixed_decoders,
        )

    def encoded(self, inputs: ModelInputs) -> Encoded:
        """The images of a batch, with what the method of reduction asks about them."""
        if self.token_reduction.method in LOOKS_AT_ENCODER:
            # Compiled code cannot be looked into.
            return self.network.vision_backbone.encode(inputs.pixels, inputs.patch_mask)
        return Encoded(
            self.vision_features(inputs.pixels, inputs.patch_mask, self._received(inputs))
        )

    def _received(self, inputs: ModelInputs) -> Tensor | None:
        """(I, N, K) bool: the vision tokens of every image that a prompt has a place for, the
        others being given by a neighbouring crop; None where all are encoded.
        """
        # A GPU would be waited for to count them, and its encoders have many blocks before the
        # last.
        if inputs.pixels.device.type != "cpu" or self.own_reduction is not None:
            return None
        places = (inputs.image_input_idx >= 0).int()
        shape = len(inputs.pixels), *places.shape[1:]
        return places.new_zeros(shape).index_add_(0, inputs.image_index, places) > 0

    def _prefill(self, inputs: ModelInputs, encoded: Encoded, new_tokens: int) -> Prefilled:
        """Read prompts, with as many vision tokens as are to be kept."""
        if isinstance(self.token_reduction, DecoderReduction):
            features = encoded.features
            pruned = pruned_prefill(
                self.network, inputs, features, new_tokens, self.knobs, self.token_reduction
            )
            if pruned is not None:
                return pruned
            return prefill(self.network, inputs, features, new_tokens, self.knobs)
        prompts = reduced(inputs, encoded, self.token_reduction)
        # A cache of fixed size has a row for each prompt, and on GPUs a mask takes other kernels.
        pack = self.fixed_decoders is None and inputs.input_ids.device.type == "cpu"
        return prefill(
            self.network, prompts.inputs, prompts.features, new_tokens, self.knobs, prompts.sizes,
            pack=pack,
        )  # fmt: skip

    @torch.inference_mode()
    def read(self, inputs: ModelInputs) -> None:
        """Run prompts through all decoder blocks, see `MeasurableModel`."""
        features = self.vision_features(inputs.pixels, inputs.patch_mask)
        self.network.decode(
            inputs.input_ids,
            features[inputs.image_index],
            inputs.image_input_idx,
            attention_mask=inputs.attention_mask,
            logits_at=inputs.input_ids.new_zeros(len(inputs.input_ids), 1),
            top_k=self.top_k,
        )

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops | None:
        """The estimated cost of one sample's answer of so many tokens, that of the group
        `reduction` included: of what it asks of the encoder with the vision's, of its decision with
        the prefill's. None where a knob of one's own throws tokens away, whose cost nobody knows.
        """
        if self.own_reduction is not None:
            return None
        config, views, tokens = self.network.config, inputs.pixels.shape[1], _tokens_of(inputs)
        views -= all(self.earlier_views(inputs))
        prompt, left = self._prompt_tokens(tokens)
        flops = stage_flops(
            config,
            views=views,
            prompt_tokens=prompt,
            new_tokens=new_tokens,
            num_active_blocks=self.num_active_blocks,
            top_k=self.top_k,
            left=left,
        )
        return flops.with_extra(
            vision=encoder_flops(config, self.token_reduction, views),
            prefill=deciding_flops(config, self.token_reduction, tokens),
        )

    def cache_bytes(self, inputs: ModelInputs, new_tokens: int) -> int:
        """What the keys and values of one sample and its answer of so many tokens take; the last
        token is not read.
        """
        prompt, left = self._prompt_tokens(_tokens_of(inputs))
        after, late = left or (self.num_active_blocks, 0)
        later = new_tokens - 1
        places = after * (prompt + later) + (self.num_active_blocks - after) * (late + later)
        config, dtype = self.network.config.decoder, self.network.lm_head.weight.dtype
        return 2 * places * config.num_kv_heads * config.head_dim * dtype.itemsize

    def _prompt_tokens(self, tokens: PromptTokens) -> tuple[int, tuple[int, int] | None]:
        """How many tokens of a prompt the first block sees; and (blocks, tokens), after how many
        blocks how many are left, where some leave on the way.
        """
        shorter = tokens.total - tokens.vision + self.token_reduction.count(tokens.vision)
        if isinstance(self.token_reduction, DecoderReduction) and shorter < tokens.total:
            return tokens.total, (self.token_reduction.block, shorter)
        return shorter, None


def _tokens_of(inputs: ModelInputs) -> PromptTokens:
    """Lengths of a single prompt."""
    places = inputs.image_input_idx
    total = inputs.input_ids.shape[1]
    return PromptTokens(total, int((places >= 0).sum()), total - int(places.max()) - 1)
