"""Checkpoints of the Hugging Face hub, as folders on this machine.

In: the id of a repository, such as `allenai/MolmoE-1B-0924`. Out: the folder of the local cache
with the files of it that a Molmo is read from; no code is among them. Imports the hub's client only
when something is to be fetched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tierexp.errors import CheckpointError
from tierexp.models.checkpoint_files import CONFIG_FILE, INDEX_FILE, TOKENIZER_FILE

DESCRIPTION = (CONFIG_FILE, TOKENIZER_FILE)
"""What says which model it is; a few megabytes."""
WEIGHTS = (INDEX_FILE, "*.safetensors")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_INSTEAD = "or download it elsewhere and name its folder, model.checkpoint=DIR"


def is_hub_id(text: str) -> bool:
    """Whether a text can be the id of a repository, OWNER/NAME."""
    return _HUB_ID.fullmatch(text) is not None


def fetch(hub_id: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """The folder with files of a repository; what the local cache has is not fetched again.

    Args:
        hub_id: Name of the repository.
        patterns: The files, `*` standing for any text.
        revision: A commit; None takes the newest, or the cache's where the hub cannot be reached.

    Returns:
        The folder, named after the commit.

    Raises:
        CheckpointError: The client is not installed, the hub cannot be reached, or it does not
            hand the repository out.
    """
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise CheckpointError(f"pip install 'tierexp[hub]' to fetch it, {_INSTEAD}") from None
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns)))
    # Connections, proxies, refusals, full disks, bad ids: of many classes, some of them the HTTP
    # library's own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointError(
            f"the hub did not hand it out ({reason}): try later, {_INSTEAD}"
        ) from None
