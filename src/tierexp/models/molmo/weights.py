"""Weights between a Molmo in memory and the released safetensors layout.

In: safetensors files. Out: a model on its device; or the reverse. The modules are named after the
released tensors, so that only three things need translating: the prefix, the dense checkpoints'
flat blocks, and the experts, which are stored one by one and computed stacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tierexp.errors import CheckpointError
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo

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
    files: Sequence[Path], config: MolmoConfig, device: torch.device, dtype: torch.dtype
) -> Molmo:
    """Read weights, tensor by tensor, straight onto a device.

    Args:
        files: One safetensors file, or all shards.
        config: Sizes of the model.
        device: Where it is to run.
        dtype: Of its weights there.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: A file is damaged, or a tensor missing, left over, stored twice, or of
            another shape.
    """
    with torch.device("meta"):
        model = Molmo(config)
    model.to(dtype).to_empty(device=device)
    state = model.state_dict()
    expected = {tensor.name: tensor for tensor in released_tensors(config)}
    with ExitStack() as stack, torch.no_grad():
        stored = _open(files, stack)
        _refuse_differences(files[0].parent, expected, stored)
        for name, shard in stored.items():
            target = expected[name].part_of(state[expected[name].target])
            value = shard.get_tensor(name)
            if value.shape != target.shape:
                raise CheckpointError(
                    f"{files[0].parent}: {name} is {tuple(value.shape)}, "
                    f"config.json makes it {tuple(target.shape)}"
                )
            target.copy_(value)
    return model.eval()


def write_weights(model: Molmo, file: Path, dtype: torch.dtype) -> None:
    """Write a model's weights as one safetensors file.

    Args:
        model: Whose weights to write.
        file: The file.
        dtype: Of the stored weights.
    """
    state = model.state_dict()
    tensors = {
        tensor.name: tensor.part_of(state[tensor.target]).to("cpu", dtype, copy=True).contiguous()
        for tensor in released_tensors(model.config)
    }
    save_file(tensors, file, metadata={"format": "pt"})


# safetensors ships no types for the files it opens, hence Any.
def _open(files: Sequence[Path], stack: ExitStack) -> dict[str, Any]:
    """The opened file of every tensor, by the tensor's name."""
    stored: dict[str, Any] = {}
    for file in files:
        try:
            shard: Any = stack.enter_context(safe_open(file, framework="pt"))
        except SafetensorError as error:
            raise CheckpointError(f"{file} is damaged: {error}") from None
        for name in shard.keys():  # noqa: SIM118
            if name in stored:
                raise CheckpointError(f"{file}: {name} is stored twice")
            stored[name] = shard
    return stored


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
