"""A checkpoint in the released Molmo layout: where a model comes from and goes to.

In: a folder with `config.json`, `tokenizer.json` and safetensors, or the hub's id of one. Out: what
is known of the model before its weights are read, and, on `load`, the model. Imports no torch until
then; nothing of a checkpoint is ever run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tierexp.config.checks import choice, flag, number, path, text, whole_number
from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.backend import Backend, check_backend
from tierexp.models.checkpoint_files import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    content_digest,
    dated,
    weight_files,
)
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.reduction.settings import METHODS, NO_REDUCTION, Reduction
from tierexp.models.knobs.reduction.source import ReducingSource
from tierexp.models.knobs.source import DEFAULT_KNOBS
from tierexp.models.molmo import hub
from tierexp.models.molmo.config import MolmoConfig, read_config
from tierexp.models.molmo.prompt_format import molmo_prompt
from tierexp.models.molmo.released import RELEASED, difference_from_release
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.models.placement import Devices, check_devices
from tierexp.models.precision import Precision, check_precision, torch_dtype
from tierexp.models.prompt_format import PromptFormat
from tierexp.models.protocol import MAX_NEW_TOKENS
from tierexp.tiers.geometry import CropGeometry

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch

    from tierexp.models.molmo.engine import MolmoEngine
    from tierexp.models.molmo.model import Molmo
    from tierexp.models.protocol import InputBuilder, PublishedProcessor


IN_THE_BOX = Path(str(files("tierexp"))) / "assets" / "tiny"
"""The checkpoint that comes with this package."""


@dataclass(frozen=True)
class MolmoCheckpoint(ReducingSource):
    """A `ModelSource` for any Molmo: the released ones, and those that `train.py` writes.

    Args:
        checkpoint: The folder, or the id of a repository on the Hugging Face hub where there is no
            such folder; its weights are fetched on `load`.
        released: The released model that it has to be, or one of its kind, by name; None for any.
        name: How results and charts call the model.
        knobs: Control knobs and their settings.
        max_new_tokens: The longest answer that is generated.
        dtype: Precision of weights and activations.
        backend: What encodes crops (`MolmoEngine.encode_with`).
        cuda_graphs: Whether answers are decoded as CUDA graphs (`MolmoEngine.decode_in_graphs`).
        devices: How many GPUs hold the decoder's blocks, in order; `auto` for all there are.
        remember_gib: GiB of encoded images, kept for the next run of a sweep on the same
            tier, which then encodes none; encoded by another backend they differ by rounding.
        reduction: Which vision tokens the decoder reads, and keeps; the group `reduction`.

    Raises:
        ConfigError: There is no Molmo configuration, it is another released model's, or a setting
            is impossible for it.
    """

    checkpoint: str
    name: str = "molmo"
    knobs: tuple[Knob, ...] = DEFAULT_KNOBS
    max_new_tokens: int = 16
    dtype: Precision = "auto"
    backend: Backend = "eager"
    cuda_graphs: bool = False
    devices: Devices = 1
    released: str | None = None
    remember_gib: float = 0
    reduction: Reduction = NO_REDUCTION
    folder: Path = field(init=False, repr=False, compare=False)
    config: MolmoConfig = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.released is not None:
            choice("model.released", self.released, list(RELEASED))
        try:
            folder = self._locate()
            config = read_config(folder)
        except CheckpointError as error:
            allowed = f"a folder with a Molmo checkpoint, or the hub's id of one ({error})"
            raise ConfigError("model.checkpoint", self.checkpoint, allowed) from None
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "config", config)
        self._refuse_another_model()
        text("model.name", self.name)
        self.check_knobs()
        whole_number("model.max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        check_precision(self.dtype)
        check_backend(self.backend)
        flag("model.cuda_graphs", self.cuda_graphs)
        check_devices(self.devices)
        if self.cuda_graphs and self.devices != 1:
            raise ConfigError("model.cuda_graphs", True, "false with model.devices other than 1")
        number("model.remember_gib", self.remember_gib, 0)
        self.check_reduction(METHODS, self.name)

    @property
    def _is_on_the_hub(self) -> bool:
        return hub.is_hub_id(self.checkpoint) and not Path(self.checkpoint).is_dir()

    def _locate(self) -> Path:
        folder = path("model.checkpoint", self.checkpoint)
        return hub.fetch(self.checkpoint, hub.DESCRIPTION) if self._is_on_the_hub else folder

    def _refuse_another_model(self) -> None:
        if self.released is None:
            return
        allowed = difference_from_release(self.released, self.config.decoder)
        if allowed is not None:
            raise ConfigError("model.checkpoint", self.checkpoint, allowed)

    def _weight_files(self) -> list[Path]:
        if self._is_on_the_hub:
            # Refused before gigabytes are fetched.
            self.tokenizer()
            hub.fetch(self.checkpoint, hub.WEIGHTS, revision=self.folder.name)
        return weight_files(self.folder)

    @property
    def geometry(self) -> CropGeometry:
        """The crops the model was trained on."""
        return self.config.geometry

    def inputs(self) -> InputBuilder:
        """What makes inputs of samples: crops, and patch masks in the order it was trained on."""
        from tierexp.models.molmo.inputs import MolmoInputs

        return MolmoInputs(self.tokenizer(), self.config.mask_order)

    @property
    def trained_on(self) -> str | None:
        """The data set whose pictures are all that the model in the box has seen; None of any other
        checkpoint.
        """
        return "tierqa" if self.folder == IN_THE_BOX else None

    def published(self) -> PublishedProcessor:
        """See `HasPublishedProcessor`."""
        from tierexp.models.molmo.published_arrays import MolmoPublished

        return MolmoPublished(self.geometry, self.tokenizer())

    @property
    def prompt_format(self) -> PromptFormat:
        """How the model was trained to be asked."""
        return molmo_prompt

    def tokenizer(self) -> PromptTokenizer:
        """The tokenizer that goes with the weights.

        Raises:
            CheckpointError: There is none, or it does not fit.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> PromptTokenizer:
        """Read once: it may have megabytes."""
        num_embeddings = self.config.decoder.num_embeddings
        return PromptTokenizer.from_file(self.folder / TOKENIZER_FILE, num_embeddings)

    @property
    def checkpoint_digest(self) -> str:
        """See `HasCheckpoint`."""
        return content_digest(self._weight_files())

    @property
    def weights(self) -> Hashable:
        """The files as they are now, fetched where that has to be, and the precision."""
        files = dated(self._weight_files())
        return type(self), files, self.dtype, self.devices

    def load_measurable(self, device: torch.device) -> MolmoEngine:
        """See `LoadsMeasurable`."""
        return self.load(device)

    def load(self, device: torch.device) -> MolmoEngine:
        """Read the weights onto `device`.

        Raises:
            CheckpointError: Files are missing, or their tensors are not exactly the model's.
        """
        end_of_text_id = self.tokenizer().eos_id
        files = self._weight_files()

        from tierexp.models.molmo.engine import MolmoEngine
        from tierexp.models.molmo.weights import load_model
        from tierexp.models.placement import devices_from

        devices = devices_from(self.devices, device)
        network = load_model(files, self.config, devices, torch_dtype(self.dtype, device))
        model = MolmoEngine(network, end_of_text_id)
        self.apply_knobs(model)
        return model

    @property
    def facts(self) -> ModelFacts:
        """What knobs are checked against."""
        decoder = self.config.decoder
        return ModelFacts(decoder.num_layers, decoder.num_experts, decoder.top_k)

    def apply_knobs(self, model: object) -> None:
        """Set the knobs, and what encodes crops."""
        from tierexp.models.molmo.engine import MolmoEngine

        super().apply_knobs(model)
        assert isinstance(model, MolmoEngine)
        model.remember(int(self.remember_gib * 2**30))
        model.encode_with(self.backend)
        model.decode_in_graphs(self.cuda_graphs)


def save_checkpoint(model: Molmo, folder: Path, dtype: torch.dtype) -> None:
    """Write `config.json` and `model.safetensors` in the released layout.

    Args:
        model: Whose weights to write.
        folder: Made if it does not exist; a tokenizer in it is left alone.
        dtype: Dtype of the stored weights.
    """
    from tierexp.models.molmo.weights import write_weights

    folder.mkdir(parents=True, exist_ok=True)
    write_weights(model, folder / WEIGHTS_FILE, dtype)
    values = json.dumps(model.config.to_checkpoint_json(), indent=1)
    (folder / CONFIG_FILE).write_text(values + "\n", encoding="utf-8")
