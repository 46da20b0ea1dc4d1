"""A Molmo2 checkpoint folder: where a model comes from.

In: a folder as released or as `transformers` saves it. Out: what is known of the model before its
weights are read, and, on `load`, the model. Imports neither torch nor transformers until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tierexp.config.checks import path, text, whole_number
from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.checkpoint_files import content_digest, dated, weight_files
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, Method, Reduction
from tierexp.models.knobs.reduction.source import ReducingSource
from tierexp.models.knobs.source import DEFAULT_KNOBS
from tierexp.models.molmo2.prompt import Molmo2Tokenizer
from tierexp.models.molmo2.prompt_format import molmo2_prompt
from tierexp.models.molmo2.settings import Molmo2Settings, read_settings
from tierexp.models.precision import Precision, check_precision, torch_dtype
from tierexp.models.prompt_format import PromptFormat
from tierexp.models.protocol import MAX_NEW_TOKENS
from tierexp.tiers.geometry import CropGeometry

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch

    from tierexp.models.molmo2.model import Molmo2
    from tierexp.models.protocol import InputBuilder, PublishedProcessor

METHODS: tuple[Method, ...] = ("none", "random", "stride", "pool", "diverse")
"""Methods of the group `reduction` that it serves. The encoder has no class token, and the
library's decoder hands out no attention weights."""


@dataclass(frozen=True)
class Molmo2Checkpoint(ReducingSource):
    """A `ModelSource` for Molmo2-4B, Molmo2-8B and Molmo2-O-7B.

    Args:
        checkpoint: The folder.
        name: How results and charts call the model.
        knobs: Control knobs and their settings.
        max_new_tokens: The longest answer that is generated.
        dtype: Precision of weights and activations.
        reduction: Which vision tokens the decoder reads; the group `reduction`.

    Raises:
        ConfigError: The extra `molmo2` is not installed, the folder holds no Molmo2, or a setting
            is impossible for it.
    """

    checkpoint: str
    name: str = "molmo2"
    knobs: tuple[Knob, ...] = DEFAULT_KNOBS
    max_new_tokens: int = 16
    dtype: Precision = "auto"
    reduction: Reduction = NO_REDUCTION
    settings: Molmo2Settings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_extra(self.name)
        try:
            settings = read_settings(self.folder)
        except CheckpointError as error:
            raise ConfigError(
                "model.checkpoint", self.checkpoint, f"a folder with a Molmo2 checkpoint ({error})"
            ) from None
        object.__setattr__(self, "settings", settings)
        text("model.name", self.name)
        self.check_knobs()
        whole_number("model.max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        check_precision(self.dtype)
        self.check_reduction(METHODS, self.name)

    @property
    def folder(self) -> Path:
        """The checkpoint folder."""
        return path("model.checkpoint", self.checkpoint)

    @property
    def geometry(self) -> CropGeometry:
        """The crops the model was trained on."""
        return self.settings.geometry

    def inputs(self) -> InputBuilder:
        """What makes inputs of samples: crops; Molmo2 looks at no patch mask."""
        from tierexp.models.molmo.crop_inputs import CropInputs

        return CropInputs(self.tokenizer())

    def published(self) -> PublishedProcessor:
        """See `HasPublishedProcessor`."""
        from tierexp.models.molmo2.published_arrays import Molmo2Published

        return Molmo2Published(self.settings, self.tokenizer())

    @property
    def prompt_format(self) -> PromptFormat:
        """How the model was trained to be asked."""
        return molmo2_prompt

    def tokenizer(self) -> Molmo2Tokenizer:
        """The tokenizer that goes with the weights.

        Raises:
            CheckpointError: There is none, or it does not fit.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Molmo2Tokenizer:
        """Read once: it may have megabytes."""
        return Molmo2Tokenizer.from_folder(self.folder, self.settings)

    @property
    def checkpoint_digest(self) -> str:
        """See `HasCheckpoint`."""
        return content_digest(weight_files(self.folder))

    @property
    def weights(self) -> Hashable:
        """The folder, its files as they are now, and the precision."""
        files = dated(weight_files(self.folder))
        return type(self), files, self.dtype

    def load_measurable(self, device: torch.device) -> Molmo2:
        """See `LoadsMeasurable`."""
        return self.load(device)

    def load(self, device: torch.device) -> Molmo2:
        """Read the weights, by `transformers`, and move them to `device`.

        Raises:
            CheckpointError: Files are missing, or their tensors are not exactly the model's.
        """
        tokenizer = self.tokenizer()
        weight_files(self.folder)

        from transformers import Molmo2ForConditionalGeneration

        from tierexp.models.molmo2.model import Molmo2
        from tierexp.models.transformers_weights import load_network

        kind, dtype = Molmo2ForConditionalGeneration, torch_dtype(self.dtype, device)
        network = load_network(kind, self.folder, [device], dtype)
        model = Molmo2(network, self.settings, tokenizer.image_tokens, tokenizer.end_ids)
        self.apply_knobs(model.to(device))
        return model

    @property
    def facts(self) -> ModelFacts:
        """What knobs are checked against."""
        return ModelFacts(self.settings.num_blocks)


def _require_extra(name: str) -> None:
    """Refuse to go on without what the extra brings; looks for files, imports nothing heavy."""
    found = find_spec("transformers")
    has_molmo2 = found is not None and any(
        (Path(folder) / "models" / "molmo2").is_dir()
        for folder in found.submodule_search_locations or ()
    )
    if not has_molmo2 or find_spec("jinja2") is None:
        allowed = "only with a transformers that has Molmo2: pip install 'tierexp[molmo2]'"
        raise ConfigError("model", name, allowed)
