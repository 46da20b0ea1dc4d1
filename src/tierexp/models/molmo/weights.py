"""Weights between a Molmo in memory and the released safetensors layout.

In: safetensors files. Out: a model on its device; or the reverse. The modules are named after the
released tensors, so that only three things need translating: the prefix, the dense checkpoints'
flat blocks, and the experts, which are stored one by one and computed stacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tierexp.errors import CheckpointError
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.stored_tensors import StoredTensor, copy_tensors, list_tensors
from tierexp.models.placement import spread

_LISTED = 5


@dataclass(frozen=True)
class ReleasedTensor:
    """Where a tensor of a checkpoint belongs.

    Args:
        name: In the checkpoint.
        target: Name of the parameter it fills, or a part of.
        expert: The entry on the parameter's first axis; None where there are no experts.
        half: For experts' gate (0) and up (1), which half of that entry; else None.
    """

    name: str
    target: str
    expert: int | None = None
    half: int | None = None

    def part_of(self, parameter: Tensor) -> Tensor:
        """The view of its parameter that this tensor fills."""
        if self.expert is None:
            return parameter
        entry = parameter[self.expert]
        return entry if self.half is None else entry.chunk(2)[self.half]


def released_tensors(config: MolmoConfig) -> Iterator[ReleasedTensor]:
    """Every tensor that a checkpoint of a model must have, and no other."""
    with torch.device("meta"):
        names = list(Molmo(config).state_dict())
    experts = config.decoder.num_experts
    for target in names:
        name = target if target.startswith("lm_head.") else f"model.{target}"
        if experts is None:
            name = re.sub(r"^(model\.transformer\.blocks\.\d+)\.(attn|mlp)\.", r"\1.", name)
            name = re.sub(r"^lm_head\.", "model.transformer.ff_out.", name)
            yield ReleasedTensor(name, target)
            continue
        stem, _, kind = name.partition(".experts.")
        for expert in range(experts) if kind else ():
            if kind == "gate_up_proj":
                yield ReleasedTensor(f"{stem}.experts.{expert}.gate_proj.weight", target, expert, 0)
                yield ReleasedTensor(f"{stem}.experts.{expert}.up_proj.weight", target, expert, 1)
            else:
                yield ReleasedTensor(f"{stem}.experts.{expert}.down_proj.weight", target, expert)
        if not kind:
            yield ReleasedTensor(name, target)


def load_model(
    files: Sequence[Path],
    config: MolmoConfig,
    devices: Sequence[torch.device],
    dtype: torch.dtype,
) -> Molmo:
    """Read weights, tensor by tensor, straight onto their device; no second copy of them exists.

    Args:
        files: One safetensors file, or all shards.
        config: Sizes of the model.
        devices: That hold it: decoder blocks one after the other, all else with the first.
        dtype: Dtype of its weights there.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: A file is damaged, or a tensor missing, left over, stored twice, or of
            another shape, which is found before memory is taken; or one is not finite.
    """
    with torch.device("meta"):
        model = Molmo(config)
    folder = files[0].parent
    stored = list_tensors(files)
    expected = {tensor.name: tensor for tensor in released_tensors(config)}
    _refuse_differences(folder, expected, stored)
    _refuse_shapes(folder, expected, stored, model.state_dict())
    take_memory(model.to(dtype), devices)
    state = model.state_dict()
    with torch.no_grad():
        copy_tensors(
            [(source, expected[name].part_of(state[expected[name].target]))
             for name, source in stored.items()]
        )  # fmt: skip
    return model.eval()


def take_memory(model: Molmo, devices: Sequence[torch.device]) -> None:
    """Room for the weights of a model that has none, on the devices that are to hold it.

    Args:
        model: On torch's device meta.
        devices: As of `load_model`.
    """
    blocks = model.transformer.blocks
    sizes = [sum(p.nbytes for p in block.parameters()) for block in blocks]
    besides = sum(p.nbytes for p in model.parameters()) - sum(sizes)
    for block, device in zip(blocks, spread(sizes, besides, devices), strict=True):
        _take_memory(block, device)
    for parts in (model.children(), model.transformer.children()):
        for part in parts:
            if part is not model.transformer and part is not blocks:
                _take_memory(part, devices[0])


def _take_memory(part: nn.Module, device: torch.device) -> None:
    # `to_empty` does the same, and imports sympy on its way.
    room = {
        name: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=device)
        for name, t in part.state_dict().items()
    }
    part.load_state_dict(room, assign=True)


def write_weights(model: Molmo, file: Path, dtype: torch.dtype) -> None:
    """Write a model's weights as one safetensors file.

    Args:
        model: Whose weights to write.
        file: The file.
        dtype: Dtype of the stored weights.
    """
    state = model.state_dict()
    tensors = {
        tensor.name: tensor.part_of(state[tensor.target]).to("cpu", dtype, copy=True).contiguous()
        for tensor in released_tensors(model.config)
    }
    file.touch()
    mode = file.stat().st_mode
    save_file(tensors, file, metadata={"format": "pt"})
    file.chmod(mode)  # safetensors puts a file in its place that its owner alone can read


def _refuse_differences(
    folder: Path, expected: Mapping[str, object], stored: Mapping[str, object]
) -> None:
    problems = []
    for what, names in (
        ("missing", sorted(expected.keys() - stored.keys())),
        ("left over", sorted(stored.keys() - expected.keys())),
    ):
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            problems.append(f"{what}: {', '.join(names[:_LISTED])}{more}")
    if problems:
        raise CheckpointError(f"{folder}: tensors do not match config.json; {'; '.join(problems)}")


def _refuse_shapes(
    folder: Path,
    expected: Mapping[str, ReleasedTensor],
    stored: Mapping[str, StoredTensor],
    state: Mapping[str, Tensor],
) -> None:
    for name, tensor in expected.items():
        shape = tuple(tensor.part_of(state[tensor.target]).shape)
        if stored[name].shape != shape:
            raise CheckpointError(
                f"{folder}: {name} is {stored[name].shape}, config.json makes it {shape}"
            )
