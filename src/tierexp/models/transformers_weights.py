"""A checkpoint's weights into `transformers`' own class.

In: a checkpoint folder. Out: the network, every tensor of it read; on several devices, if so many
are given, between which `accelerate` moves activations. Runs no code from the folder and reads
safetensors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig
from transformers.utils import logging

from tierexp.errors import CheckpointError
from tierexp.models.finite import is_finite
from tierexp.models.library_decoder import decoder_of
from tierexp.models.placement import spread

_LISTED = 5
_ADAPTER_FILE = "adapter_config.json"
"""Makes `transformers` read weights that it names, which may lie anywhere."""


def load_network(
    kind: Any, folder: Path, devices: Sequence[torch.device], dtype: torch.dtype
) -> Any:
    """Read a network; released names and those that `transformers` saves are both known to it.

    Args:
        kind: The library's class, or one of its automatic ones.
        folder: The checkpoint.
        devices: That hold it. A single one gets it once it has been read into the host's memory;
            of several, each gets its part at once (`device_map`).
        dtype: Dtype of its weights.

    Raises:
        CheckpointError: A file cannot be read, its tensors are not exactly the model's, or one
            holds infinities or NaN.
    """
    if (folder / _ADAPTER_FILE).exists():
        raise CheckpointError(f"{folder} has an {_ADAPTER_FILE}: merge the adapter first")
    logging.disable_progress_bar()
    try:
        several = len(devices) > 1
        places = device_map(empty_network(kind, folder), devices) if several else None
        network, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            # Named here, because a config.json could name code on the hub.
            attn_implementation="sdpa",
            output_loading_info=True,
            device_map=places,
        )
    except Exception as error:  # the library raises many kinds: OSError, ValueError, its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder} cannot be loaded: {reason}") from error
    for words, key in (
        ("lacks", "missing_keys"),
        ("has tensors left over:", "unexpected_keys"),
        ("has tensors of other shapes:", "mismatched_keys"),
    ):
        # Mismatched ones come with their shapes.
        names = sorted(str(n if isinstance(n, str) else n[0]) for n in report.get(key) or ())
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            raise CheckpointError(f"{folder} {words} {', '.join(names[:_LISTED])}{more}")
    for name, weight in network.named_parameters():
        if not is_finite(weight.detach()):
            raise CheckpointError(f"{folder}: {name} holds numbers that are not finite")
    return (network if several else network.to(devices[0])).eval()


def empty_network(kind: Any, folder: Path) -> Any:
    """The network of a checkpoint without weights, on the device `meta`.

    Args:
        kind: As of `load_network`.
        folder: The checkpoint.
    """
    settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        return kind.from_config(settings)


def device_map(network: Any, devices: Sequence[torch.device]) -> dict[str, torch.device]:
    """Where each part of a network goes: the decoder's blocks over the devices in order (`spread`),
    everything else on the first.

    Args:
        network: The library's, on whatever device.
        devices: At least one, the one that inputs are on first.

    Returns:
        By the name of a part, a module or a tensor of its own, such that every tensor is in
        exactly one.
    """
    blocks = decoder_of(network).layers
    sizes = [sum(x.numel() for x in block.parameters()) for block in blocks]
    besides = sum(x.numel() for x in network.parameters()) - sum(sizes)
    places: dict[str, torch.device] = {}

    def lay(module: nn.Module, name: str) -> None:
        if module is blocks:
            spread_out = enumerate(spread(sizes, besides, devices))
            places.update((f"{name}{number}", device) for number, device in spread_out)
        elif all(part is not blocks for part in module.modules()):
            places[name.removesuffix(".")] = devices[0]
        else:
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            places.update((name + tensor, devices[0]) for tensor, _ in own)
            for child, part in module.named_children():
                lay(part, f"{name}{child}.")

    lay(network, "")
    return places
