"""Checkpoints of other families, as a configuration describes them.

In: the group `model`. Out: a `ModelSource` that answers by `transformers`' own classes. Imports
neither torch nor `transformers` before something is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierexp.config.checks import choice, path, whole_number
from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.checkpoint_files import CONFIG_FILE, read_object, weight_files
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, Reduction
from tierexp.models.knobs.reduction.source import ReducingSource
from tierexp.models.knobs.source import DEFAULT_KNOBS
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.registry import preset
from tierexp.models.precision import Precision, check_precision, torch_dtype
from tierexp.models.prompt_format import PromptFormat, plain_prompt
from tierexp.models.transformers_family.methods import methods_of
from tierexp.tiers.geometry import CropGeometry

if TYPE_CHECKING:
    import torch

    from tierexp.models.transformers_family.inputs import FamilyInputBuilder
    from tierexp.models.transformers_family.model import FamilyModel


@dataclass(frozen=True)
class _Class:
    """What a family is to `transformers`.

    Args:
        model_type: Of `config.json`.
        processor: Name of the class.
        image_token: Key of the placeholder's id in `config.json`.
        arguments: Of every call of the processor.
    """

    model_type: str
    processor: str
    image_token: str = "image_token_id"
    arguments: tuple[tuple[str, object], ...] = ()


FAMILIES = {
    "internvl": _Class("internvl", "InternVLProcessor"),
    "qwen2_vl": _Class("qwen2_vl", "Qwen2VLProcessor"),
    "qwen2_5_vl": _Class("qwen2_5_vl", "Qwen2_5_VLProcessor"),
    "qwen3_vl": _Class("qwen3_vl", "Qwen3VLProcessor"),
    "idefics3": _Class("idefics3", "Idefics3Processor"),
    "smolvlm2": _Class("smolvlm", "SmolVLMProcessor"),
    "llava_ov": _Class("llava_onevision", "LlavaOnevisionProcessor", "image_token_index"),
    "gemma3": _Class("gemma3", "Gemma3Processor", "image_token_index"),
    "gemma3_pan_and_scan": _Class(
        "gemma3", "Gemma3Processor", "image_token_index", (("do_pan_and_scan", True),)
    ),
}
"""By the names of presets."""


class FamilyTokenizer:
    """A `QuestionTokenizer`.

    Args:
        tokenizer: The library's.
        end_ids: What ends an answer.
    """

    def __init__(self, tokenizer: Any, end_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = frozenset(end_ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The answer in generated ids, up to its end."""
        answer = list(takewhile(lambda token: token not in self._ends, ids))
        text: str = self._tokenizer.decode(answer, skip_special_tokens=True)
        return text


@dataclass(frozen=True)
class FamilyCheckpoint(ReducingSource):
    """A checkpoint folder as released.

    Args:
        checkpoint: The folder.
        name: How results call the model.
        family: Whose plan its processor follows; one of `FAMILIES`.
        knobs: Control knobs and their settings.
        max_new_tokens: The longest answer.
        dtype: Of the weights and activations.
        reduction: Which vision tokens the decoder reads; the group `reduction`.

    Raises:
        ConfigError: A value that cannot work, or the extra `families` is not installed.
    """

    checkpoint: str
    name: str
    family: str
    knobs: tuple[Knob, ...] = DEFAULT_KNOBS
    max_new_tokens: int = 16
    dtype: Precision = "auto"
    reduction: Reduction = NO_REDUCTION

    def __post_init__(self) -> None:
        if find_spec("transformers") is None or find_spec("jinja2") is None:
            raise ConfigError("model", self.name, "only with: pip install 'tierexp[families]'")
        choice("model.family", self.family, tuple(FAMILIES))
        wanted = FAMILIES[self.family].model_type
        try:
            found = read_object(self.folder / CONFIG_FILE).get("model_type")
        except CheckpointError as error:
            allowed = f"a folder with a checkpoint of {self.family} ({error})"
            raise ConfigError("model.checkpoint", self.checkpoint, allowed) from None
        if found != wanted:
            allowed = f"a checkpoint of model_type {wanted}, not {found}"
            raise ConfigError("model.checkpoint", self.checkpoint, allowed)
        self.check_knobs()
        whole_number("model.max_new_tokens", self.max_new_tokens, 1)
        check_precision(self.dtype)
        self.check_reduction(methods_of(wanted), self.name)

    @property
    def folder(self) -> Path:
        """The checkpoint folder."""
        return path("model.checkpoint", self.checkpoint)

    @property
    def preset(self) -> Preset:
        """The family's rule."""
        return preset(self.family)

    @property
    def geometry(self) -> CropGeometry:
        """The crops that tiers are counted in; the family's own rule is `preset`."""
        return CropGeometry()

    @property
    def facts(self) -> ModelFacts:
        """What knobs are checked against."""
        text = read_object(self.folder / CONFIG_FILE).get("text_config")
        blocks = text.get("num_hidden_layers") if isinstance(text, dict) else None
        if not isinstance(blocks, int):
            raise CheckpointError(f"{self.folder} does not say how many blocks its decoder has")
        return ModelFacts(num_blocks=blocks)

    @property
    def prompt_format(self) -> PromptFormat:
        """As anyone would ask; the rest is the checkpoint's chat template."""
        return plain_prompt

    @property
    def weights(self) -> Hashable:
        """The folder, its files as they are now, and the precision."""
        files = tuple((str(file), file.stat().st_mtime_ns) for file in weight_files(self.folder))
        return type(self), files, self.dtype, self.family

    def inputs(self) -> FamilyInputBuilder:
        """What makes inputs of samples."""
        from tierexp.models.transformers_family.inputs import FamilyInputBuilder

        return FamilyInputBuilder(self._processor(), dict(FAMILIES[self.family].arguments))

    def tokenizer(self) -> FamilyTokenizer:
        """The tokenizer that goes with the weights."""
        tokenizer = self._processor().tokenizer
        return FamilyTokenizer(tokenizer, self._end_ids(tokenizer))

    def load(self, device: torch.device) -> FamilyModel:
        """Read the weights, by `transformers`, and move them to `device`.

        Raises:
            CheckpointError: Files are missing, or their tensors are not exactly the model's.
        """
        from transformers import AutoModelForImageTextToText

        from tierexp.models.transformers_family.model import FamilyModel
        from tierexp.models.transformers_weights import load_network

        weight_files(self.folder)
        dtype = torch_dtype(self.dtype, device)
        network = load_network(AutoModelForImageTextToText, self.folder, device, dtype)
        image_token = getattr(network.config, FAMILIES[self.family].image_token)
        model = FamilyModel(network, image_token, self._end_ids(self._processor().tokenizer))
        self.apply_knobs(model)
        return model

    def _processor(self) -> Any:
        from tierexp.models.transformers_family.processor import load_processor

        return load_processor(self.folder, FAMILIES[self.family].processor)

    def _end_ids(self, tokenizer: Any) -> tuple[int, ...]:
        """Stop tokens: the checkpoint's generation settings', else the tokenizer's."""
        file = self.folder / "generation_config.json"
        ends = read_object(file).get("eos_token_id") if file.is_file() else None
        if ends is None:
            ends = tokenizer.eos_token_id
        found = tuple(ends) if isinstance(ends, list) else (ends,)
        if not found or not all(isinstance(end, int) for end in found):
            raise CheckpointError(f"{self.folder} does not say what ends an answer")
        return found
