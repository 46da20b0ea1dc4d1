"""Checkpoints of other families, as a configuration describes them.

In: the group `model`. Out: a `ModelSource` that answers by `transformers`' own classes. Imports
neither torch nor `transformers` before something is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tierexp.config.checks import path, whole_number
from tierexp.errors import CheckpointError, ConfigError
from tierexp.imaging.resize import Resize
from tierexp.models.checkpoint_files import (
    CONFIG_FILE,
    content_digest,
    dated,
    read_object,
    weight_files,
)
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.reduction.settings import NO_REDUCTION, Reduction
from tierexp.models.knobs.reduction.source import ReducingSource
from tierexp.models.knobs.source import DEFAULT_KNOBS
from tierexp.models.placement import Devices, check_devices, devices_from
from tierexp.models.plans.family import Family, LibraryClasses
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing
from tierexp.models.plans.registry import families, family, family_of_type, preset
from tierexp.models.precision import Precision, check_precision, torch_dtype
from tierexp.models.prompt_format import PromptFormat, plain_prompt
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

if TYPE_CHECKING:
    import torch

    from tierexp.models.transformers_family.inputs import FamilyInputBuilder
    from tierexp.models.transformers_family.model import FamilyModel


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
        family: Whose plan its processor follows: a name of `tierexp tokens`, or the path of a
            `Family` of one's own; None for the family of the folder's `config.json`.
        knobs: Control knobs and their settings.
        max_new_tokens: The longest answer.
        dtype: Dtype of the weights and activations.
        devices: How many GPUs hold the decoder's blocks, in order; `auto` for all there are.
        reduction: Which vision tokens the decoder reads; the group `reduction`.

    Raises:
        ConfigError: A value that cannot work, or the extra `families` is not installed.
    """

    checkpoint: str
    name: str
    family: str | None = None
    knobs: tuple[Knob, ...] = DEFAULT_KNOBS
    max_new_tokens: int = 16
    dtype: Precision = "auto"
    devices: Devices = 1
    reduction: Reduction = NO_REDUCTION
    _of: Family = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if find_spec("transformers") is None or find_spec("jinja2") is None:
            raise ConfigError("model", self.name, "only with: pip install 'tierexp[families]'")
        object.__setattr__(self, "_of", self._found_family())
        self.check_knobs()
        whole_number("model.max_new_tokens", self.max_new_tokens, 1)
        check_precision(self.dtype)
        check_devices(self.devices)
        if self.devices != 1 and find_spec("accelerate") is None:
            allowed = "1, or with: pip install 'tierexp[families]'"
            raise ConfigError("model.devices", self.devices, allowed)
        self.check_reduction(self.library.reductions, self.name)

    def _found_family(self) -> Family:
        """The family that is named, or that the folder is of.

        Raises:
            ConfigError: It is not one that `transformers` answers for, or the folder is another's.
        """
        named = None if self.family is None else family(self.family, "model.family")
        if named is not None and named.library is None:
            raise ConfigError("model.family", self.family, f"one of {', '.join(_by_library())}")
        try:
            found = read_object(self.folder / CONFIG_FILE).get("model_type")
        except CheckpointError as error:
            allowed = f"a folder with a checkpoint of {self.family or 'a family'} ({error})"
            raise ConfigError("model.checkpoint", self.checkpoint, allowed) from None
        made = named or family_of_type(found)
        if made is None or made.library is None or made.model_type != found:
            wanted = {named.model_type} if named else {*_by_library().values()}
            kinds = ", ".join(sorted(map(str, wanted)))
            allowed = f"a checkpoint of model_type {kinds}, not {found}"
            raise ConfigError("model.checkpoint", self.checkpoint, allowed)
        return made

    @property
    def folder(self) -> Path:
        """The checkpoint folder."""
        return path("model.checkpoint", self.checkpoint)

    @property
    def preset(self) -> Preset:
        """The family's rule."""
        return self._of.preset if self.family is None else preset(self.family, "model.family")

    @property
    def library(self) -> LibraryClasses:
        """What `transformers` calls the family."""
        assert self._of.library is not None
        return self._of.library

    @property
    def geometry(self) -> CropGeometry:
        """The crops that tiers are counted in; the family's own rule is `preset`."""
        return CropGeometry()

    @override
    def preprocessing(
        self, tier: CropRule, threshold: Threshold, resize: Resize
    ) -> FamilyPreprocessing:
        return FamilyPreprocessing.of(self.preset, tier, threshold, resize)

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
    def checkpoint_digest(self) -> str:
        """See `HasCheckpoint`."""
        return content_digest(weight_files(self.folder))

    @property
    def weights(self) -> Hashable:
        """The folder, its files as they are now, and the precision."""
        files = dated(weight_files(self.folder))
        return type(self), files, self.dtype, self.devices, self.preset

    def inputs(self) -> FamilyInputBuilder:
        """What makes inputs of samples."""
        from tierexp.models.transformers_family.inputs import FamilyInputBuilder

        return FamilyInputBuilder(self._processor, self.preset)

    def tokenizer(self) -> FamilyTokenizer:
        """The tokenizer that goes with the weights."""
        tokenizer = self._processor.tokenizer
        return FamilyTokenizer(tokenizer, self._end_ids(tokenizer))

    def load(self, device: torch.device) -> FamilyModel:
        """Read the weights, by `transformers`, onto `device` and those that `devices` adds to it.

        Raises:
            CheckpointError: Files are missing, or their tensors are not exactly the model's.
            ConfigError: There are not so many devices.
        """
        import transformers

        from tierexp.models.transformers_family.model import FamilyModel
        from tierexp.models.transformers_weights import load_network

        weight_files(self.folder)
        dtype = torch_dtype(self.dtype, device)
        kind = getattr(transformers, self.library.network)
        network = load_network(kind, self.folder, devices_from(self.devices, device), dtype)
        image_token = getattr(network.config, self.library.image_token)
        end_ids = self._end_ids(self._processor.tokenizer)
        model = FamilyModel(network, image_token, end_ids, self.library)
        self.apply_knobs(model)
        return model

    @cached_property
    def _processor(self) -> Any:
        """Read once: a run asks for it a dozen times, and a tokenizer's file may have megabytes."""
        from tierexp.models.transformers_family.processor import load_processor

        return load_processor(self.folder, self.library.processor)

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


def _by_library() -> dict[str, str | None]:
    """The `model_type`s of families that `transformers` answers for, by the names of presets."""
    return {name: made.model_type for name, made in families().items() if made.library}
