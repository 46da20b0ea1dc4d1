"""The training batches, each a pure function of the seed and the step.

In: a seed and a step number. Out: images of one crop count, their packed questions and the dense
targets of their tokens. Because batch `i` depends on nothing else, a run can be interrupted and
resumed anywhere, with any number of workers, and sees the same data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tierexp.data.tierqa.dataset import IMAGES
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.questions import questions_for
from tierexp.data.tierqa.render import render
from tierexp.data.tierqa.scene import Scene
from tierexp.imaging.preprocess import PreprocessedImage, preprocess, stack_views
from tierexp.imaging.resample import resample
from tierexp.imaging.resize import Resize, place
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.mask_order import MaskOrder, with_ordered_masks
from tierexp.models.molmo.token_layout import layout_tokens
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import select_crops
from tierexp.training.crowded import crowded_scene
from tierexp.training.dense_targets import canvas_targets, dense_targets
from tierexp.training.grounding import Grounding, TokenCanvas
from tierexp.training.lookups import Lookup, lookups_of, stack_lookups
from tierexp.training.packing import PackedSequence, pack, pad_sequences
from tierexp.training.recipe import Phase
from tierexp.training.token_dropping import without

_USES, _REUSED_AFTER = 4, 97
"""How often a crowded crop is shown, and after how many steps again. Drawing one takes a core as
long as learning from it."""


@dataclass(frozen=True)
class _Movable:
    def to(self, device: torch.device) -> Self:
        """The same batch on `device`."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor | _Movable):
                values[name] = value.to(device)
        return type(self)(**values)


@dataclass(frozen=True)
class VisionBatch(_Movable):
    """Single crops with what their tokens should know.

    Args:
        pixels: (B, 1, S, S, 3) uint8.
        patch_mask: (B, 1, P) float32.
        dense_targets: (B, 1, K, heads) int64, -100 where a token is not asked.
    """

    pixels: Tensor
    patch_mask: Tensor
    dense_targets: Tensor


@dataclass(frozen=True)
class Knobs:
    """How the decoder runs.

    Args:
        top_k: Experts per token; None as configured.
        skipped_block: The number of a block that does not run; None where all do.
    """

    top_k: int | None = None
    skipped_block: int | None = None


@dataclass(frozen=True)
class TrainingBatch(_Movable):
    """Images of one crop count with their questions.

    Args:
        pixels: (B, N, S, S, 3) uint8, or float32 in [0, 1] for exact resizing.
        patch_mask: (B, N, P) float32.
        image_input_idx: (B, N, K) int64.
        dense_targets: (B, N, K, heads) int64, -100 where a token is not asked.
        input_ids: (B, T) int64, padded on the right.
        labels: (B, T) int64, -100 where nothing is learned.
        position_ids: (B, T) int64.
        segments: (B, T) int64.
        looks_from: (M, 3) int64, see `stack_lookups`.
        looks_at: (M, T) uint8.
        look_shares: (M, G) float32.
        frozen_vision: Whether the vision part stays as it is.
        rehearsed: Crowded single crops beside the images; None where the phase has none.
        knobs: How the decoder runs.
    """

    pixels: Tensor
    patch_mask: Tensor
    image_input_idx: Tensor
    dense_targets: Tensor
    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    segments: Tensor
    looks_from: Tensor
    looks_at: Tensor
    look_shares: Tensor
    frozen_vision: bool
    rehearsed: VisionBatch | None
    knobs: Knobs


class TrainingBatches(Dataset["VisionBatch | TrainingBatch"]):
    """Batches by step number.

    Args:
        phases: What is learned, one thing after the other.
        tiers: Those that the phases name.
        seed: Seed of the whole run.
        model: Its geometry, mask order, experts and blocks are what batches are made for.
        resize: How an image meets its canvas.
        tokenizer: Tokenizer of the model.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        tiers: Mapping[str, CropRule],
        seed: int,
        model: MolmoConfig,
        resize: Resize,
        tokenizer: PromptTokenizer,
    ) -> None:
        self._ends = list(accumulate(phase.steps for phase in phases))
        self._phases = phases
        self._tiers = tiers
        self._seed = seed
        self._geometry = model.geometry
        self._mask_order: MaskOrder = model.mask_order
        self._decoder = model.decoder
        self._resize = resize
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, step: int) -> VisionBatch | TrainingBatch:
        number = bisect_right(self._ends, step)
        phase = self._phases[number]
        if not phase.tiers:
            return self._vision_batch(step, phase.crops_per_batch)
        done = 1 - (self._ends[number] - step) / phase.steps
        first, last = phase.background
        background = first + done * (last - first)
        count = phase.rehearsed_crops
        rehearsed = self._vision_batch(step, count) if count else None
        rng = Random(f"{self._seed}/{step}")
        return self._batch(rng, phase, background, rehearsed)

    def _vision_batch(self, step: int, count: int) -> VisionBatch:
        shown = [
            _crowded_crop(f"{self._seed}/{step - age * _REUSED_AFTER}/{number}", self._geometry)
            for number in range(-(-count // _USES))
            for age in range(_USES)
        ][:count]
        crops, targets = zip(*shown, strict=True)
        return VisionBatch(
            pixels=torch.from_numpy(np.stack(crops)),
            patch_mask=torch.ones(len(crops), 1, self._geometry.patches_per_crop),
            dense_targets=torch.from_numpy(np.stack(targets)),
        )

    def _batch(
        self, rng: Random, phase: Phase, background: float, rehearsed: VisionBatch | None
    ) -> TrainingBatch:
        (name,) = rng.choices(phase.tiers, phase.shares)
        tier = self._tiers[name]
        drawn = [self._draw(rng, tier)]
        crops = drawn[0][1][0] * drawn[0][1][1]
        count = max(1, phase.crops_per_batch // self._geometry.views(crops))
        while len(drawn) < count:
            scene, tiling = self._draw(rng, tier)
            if tiling[0] * tiling[1] == crops:
                drawn.append((scene, tiling))
        rows = [self._row(rng, scene, tiling, phase, background) for scene, tiling in drawn]
        images, arrays, sequences, lookups = zip(*rows, strict=True)
        stacked = {
            name: torch.from_numpy(np.stack([row[name] for row in arrays])) for name in arrays[0]
        }
        text = pad_sequences(sequences, self._tokenizer.pad_id)
        looks = stack_lookups(lookups, text["input_ids"].shape[1])
        return TrainingBatch(
            pixels=torch.from_numpy(stack_views(images)), **stacked, **text, **looks,
            frozen_vision=phase.vision_rate == 0, rehearsed=rehearsed,
            knobs=self._knobs(rng, phase),
        )  # fmt: skip

    def _knobs(self, rng: Random, phase: Phase) -> Knobs:
        if rng.random() >= phase.varied_knobs:
            return Knobs()
        top_k, experts = self._decoder.top_k or 0, self._decoder.num_experts or 0
        others = [k for k in range(1, min(2 * top_k, experts) + 1) if k != top_k]
        if not others or rng.random() < 0.5:
            # The deeper, the more often, as in "Deep Networks with Stochastic Depth" (2016).
            blocks = range(self._decoder.num_layers)
            (skipped,) = rng.choices(blocks, [1 + block for block in blocks])
            return Knobs(skipped_block=skipped)
        return Knobs(top_k=rng.choice(others))

    def _draw(self, rng: Random, tier: CropRule) -> tuple[Scene, Tiling]:
        scene = generate_scene("train", rng.randrange(IMAGES["train"]))
        return scene, select_crops(tier, scene.height, scene.width, self._geometry).tiling

    def _row(
        self, rng: Random, scene: Scene, tiling: Tiling, phase: Phase, background: float
    ) -> tuple[PreprocessedImage, Mapping[str, np.ndarray], PackedSequence, list[Lookup]]:
        geometry, tokenizer = self._geometry, self._tokenizer
        image = preprocess(render(scene), tiling, self._resize, geometry)
        image = with_ordered_masks(image, self._mask_order)
        layout = layout_tokens(tiling, geometry, tokenizer.image_tokens, tokenizer.before_image, [])
        grounding = Grounding(
            TokenCanvas(image.view_placement, (1, 1), geometry),
            TokenCanvas(image.placement, tiling, geometry),
        )
        targets = dense_targets(scene, grounding)
        if background < 1:
            draws = np.random.default_rng(rng.getrandbits(64)).random(targets.shape[:2])
            layout = without(layout, (targets == 0).all(-1) & (draws >= background))
        questions = questions_for(scene, rng, phase.questions_per_task)
        sequence = pack(
            layout.input_ids,
            [
                (tokenizer.encode_prompt(q.text), tokenizer.encode_answer(q.answer))
                for q in questions
            ],
            tokenizer.eos_id,
        )
        lookups = [
            lookup
            for question, start in zip(questions, sequence.starts, strict=True)
            for lookup in lookups_of(question, start, grounding, layout.image_input_idx, tokenizer)
        ]
        arrays: Mapping[str, np.ndarray] = {
            "patch_mask": image.patch_mask,
            "image_input_idx": layout.image_input_idx,
            "dense_targets": targets,
        }
        return image, arrays, sequence, lookups


@lru_cache(maxsize=2500)  # a third of a megabyte each
def _crowded_crop(seed: str, geometry: CropGeometry) -> tuple[np.ndarray, np.ndarray]:
    """(1, S, S, 3) uint8 and (1, K, heads) int64: a crop full of things, and what they are."""
    size = geometry.crop_size
    scene = crowded_scene(Random(seed), size)
    view = place((scene.height, scene.width), (size, size), "fill")
    # Contiguous, so that a crop alone is kept, and not what it was cropped from.
    crop = np.ascontiguousarray(resample(render(scene), view))
    return crop[None], canvas_targets(scene, TokenCanvas(view, (1, 1), geometry))
