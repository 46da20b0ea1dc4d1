"""What a model takes, what it gives back, and how a run finds it: the contract between data,
models and evaluation.

A *source* (`ModelSource`) is light: it knows a model's crop geometry and tokenizer and refuses
impossible settings without importing torch. Only `load` reads weights.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize, ResizeMode
from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.knobs.knob import KnobValue
from tierexp.models.prompt_format import PromptFormat
from tierexp.models.stages import UNTIMED, StageClock, StageFlops
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


MAX_NEW_TOKENS = 16384
"""The longest answer that can be asked for: room is made for all of it before it begins."""


class BatchInputs(Protocol):
    """What the pipeline asks of a batch of any family's inputs, a dataclass of the family."""

    def __len__(self) -> int: ...

    @property
    def views(self) -> int:
        """Images that the encoder sees of a sample: batches of as many take as much memory."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        """The same batch on `device`."""

    def select(self, rows: range) -> Self:
        """Consecutive prompts as a batch of their own."""

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory."""


class PreparedImage(Protocol):
    """What is recorded of an image that has met its canvas."""

    @property
    def actual_vision_tokens(self) -> int:
        """Tokens, the global view's included, that see a pixel of the image."""

    @property
    def actual_crop_tokens(self) -> int:
        """The same of the crops alone."""

    @property
    def content_kept(self) -> float:
        """Fraction of the image's area that is on the canvas."""

    @property
    def padding_fraction(self) -> float:
        """Fraction of the canvas's area that is padding."""


class InputBuilder(Protocol):
    """How a family makes inputs of samples. Used in worker processes, so it can be pickled."""

    def image(self, pixels: NDArray[np.uint8], tiling: Tiling, preprocessing: Preprocessing) -> Any:
        """An image as rows share it, a `PreparedImage`.

        Args:
            pixels: (height, width, 3) RGB.
            tiling: That was selected.
            preprocessing: How the image meets its canvas.
        """

    def row(self, image: Any, tiling: Tiling, geometry: CropGeometry, question: str) -> Any:
        """One sample before it is part of a batch.

        Args:
            image: As `image` gives it.
            tiling: Tiling of it.
            geometry: Geometry of the crops.
            question: As it is put to the model.
        """

    def collate(self, rows: Sequence[Any]) -> Any:
        """A batch, `BatchInputs`.

        Args:
            rows: At least one, as `row` gives them, all of the same number of crops.
        """


@runtime_checkable
class TakesSmallerImages(Protocol):
    """An `InputBuilder` that a picture may be handed to smaller than it is, since all it does with
    one is to resize it (`data.decode=scaled`).
    """

    def needed_size(
        self, image_size: tuple[int, int], tiling: Tiling, preprocessing: Preprocessing
    ) -> tuple[int, int]:
        """The least (height, width) that a picture of `image_size` may be handed over at."""

    def smaller_image(
        self,
        pixels: NDArray[np.uint8],
        image_size: tuple[int, int],
        tiling: Tiling,
        preprocessing: Preprocessing,
    ) -> Any:
        """As `InputBuilder.image` of the whole picture, with its measurements; `pixels` are at
        least of the needed size.
        """


class VisionLanguageModel(Protocol):
    """A model on its device, ready to answer."""

    def generate(
        self,
        inputs: Any,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> Tensor:
        """Greedy answers, (B, L <= max_new_tokens) int64; after the end of text a row holds
        only end-of-text ids.

        Args:
            inputs: The prompts, as the family's `InputBuilder` makes them.
            max_new_tokens: The longest answer; for 0 nothing is computed.
            clock: Is told when a stage begins and ends.
            fixed_length: Decode so many tokens whatever the answers say: L is `max_new_tokens`.
            observer: Is told what every token was chosen from; a model that cannot tell does not.
        """

    def stage_flops(self, inputs: Any, new_tokens: int) -> StageFlops | None:
        """The estimated cost of one sample's answer of so many tokens; None where nobody knows."""


class MeasurableModel(VisionLanguageModel, Protocol):
    """A model whose decoder blocks can be watched while it reads."""

    @property
    def decoder_blocks(self) -> nn.ModuleList:
        """All of them, those that are set not to run too; each takes the tokens (B, T, C) as its
        first argument and returns them changed.
        """

    def read(self, inputs: Any) -> None:
        """Run prompts through all the blocks, whichever are set to run."""


@runtime_checkable
class LoadsMeasurable(Protocol):
    """A `ModelSource` whose decoder blocks can be watched."""

    def load_measurable(self, device: torch.device) -> MeasurableModel:
        """Read the weights onto `device`."""


class QuestionTokenizer(Protocol):
    """A model's ids to answers."""

    def decode(self, ids: Sequence[int]) -> str:
        """The answer in generated ids, up to the end of text."""


class PublishedProcessor(Protocol):
    """What a family's published code makes of images, at any tiling."""

    @property
    def max_crops(self) -> int:
        """Most crops of its own rule for tilings."""

    def resize(self, mode: ResizeMode | None) -> Resize:
        """How an image meets its canvas; None for the published way."""

    def arrays(
        self, image: NDArray[np.uint8], tiling: Tiling, resize: Resize, prompt: str
    ) -> dict[str, NDArray[np.generic]]:
        """An image (height, width, 3) RGB and a question as the published model takes them."""


@runtime_checkable
class HasPublishedProcessor(Protocol):
    """A `ModelSource` of a family whose published processor is followed bit by bit."""

    def published(self) -> PublishedProcessor:
        """It, of this checkpoint."""


class ViewMemory(Protocol):
    """Knows the global views of the images that are asked about now, pass after pass."""

    def begin(self) -> None:
        """Other images."""

    def next_pass(self) -> None:
        """The same images again, some of them."""

    def end(self) -> None:
        """No further pass."""


@runtime_checkable
class SharesView(Protocol):
    """A model that encodes the global view once for several passes over an image."""

    @property
    def shared_view(self) -> ViewMemory:
        """What it knows of earlier passes."""

    def earlier_views(self, inputs: Any) -> Sequence[bool]:
        """Whether, for every prompt, its global view comes from an earlier pass."""


@runtime_checkable
class HasCheckpoint(Protocol):
    """A `ModelSource` whose weights are files."""

    @property
    def checkpoint_digest(self) -> str:
        """Digest of what they hold, wherever they lie."""


class ModelSource(Protocol):
    """Where a model comes from; what is known of it before its weights are read."""

    @property
    def name(self) -> str:
        """How results and charts call the model."""

    @property
    def geometry(self) -> CropGeometry:
        """The crops the model was trained on."""

    def preprocessing(self, tier: CropRule, threshold: Threshold, resize: Resize) -> Preprocessing:
        """How images become what the model sees.

        Args:
            tier: The rule for tilings, or for the family's grids.
            threshold: When a tier's preferred counts suffice.
            resize: How an image meets its canvas.

        Raises:
            ConfigError: A value that the model has no use for.
        """

    def inputs(self) -> InputBuilder:
        """What makes the model's inputs of samples."""

    @property
    def knob_values(self) -> Mapping[str, KnobValue]:
        """What results record of every knob, by name."""

    @property
    def prompt_format(self) -> PromptFormat:
        """How the model was trained to be asked."""

    @property
    def max_new_tokens(self) -> int:
        """The longest answer that is generated."""

    def tokenizer(self) -> QuestionTokenizer:
        """The tokenizer that goes with the weights."""

    @property
    def weights(self) -> Hashable:
        """What is loaded: equal for sources that differ in knobs alone."""

    def load(self, device: torch.device) -> VisionLanguageModel:
        """Read the weights onto `device`."""

    def with_knobs(self, settings: Mapping[str, object]) -> ModelSource:
        """The same model with some keys of the group `model` that belong to knobs set anew.

        Raises:
            ConfigError: A key of no knob, or a value that is impossible for the model.
        """

    def apply_knobs(self, model: VisionLanguageModel) -> None:
        """Set a model that a source of the same `weights` has loaded to this one's knobs."""
