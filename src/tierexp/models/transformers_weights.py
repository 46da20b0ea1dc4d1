"""A checkpoint's weights into `transformers`' own class.

In: a checkpoint folder. Out: the network, every tensor of it read. Runs no code from the folder and
reads safetensors only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from tierexp.errors import CheckpointError
from tierexp.models.finite import is_finite

_LISTED = 5
_ADAPTER_FILE = "adapter_config.json"
"""Makes `transformers` read weights that it names, which may lie anywhere."""


def load_network(kind: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Read a network; released names and those that `transformers` saves are both known to it.

    Args:
        kind: The library's class, or one of its automatic ones.
        folder: The checkpoint.
        device: Where it goes, once it has been read into the host's memory.
        dtype: Of its weights.

    Raises:
        CheckpointError: A file cannot be read, its tensors are not exactly the model's, or one
            holds infinities or NaN.
    """
    if (folder / _ADAPTER_FILE).exists():
        raise CheckpointError(f"{folder} has an {_ADAPTER_FILE}: merge the adapter first")
    logging.disable_progress_bar()
    try:
        network, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            # Named here, because a config.json could name code on the hub.
            attn_implementation="sdpa",
            output_loading_info=True,
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
    return network.to(device).eval()
