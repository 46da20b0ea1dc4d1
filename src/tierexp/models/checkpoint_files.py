"""The files of a checkpoint folder, whatever the model.

In: a folder. Out: its JSON, and the paths of its weights, without opening them.
"""

from __future__ import annotations

import json
from pathlib import Path

from tierexp.errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SUFFIX = ".safetensors"
TOKENIZER_FILE = "tokenizer.json"


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: one, or the shards of its index.

    Raises:
        CheckpointError: There are none, or a shard is missing.
    """
    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if single.is_file():
        return [single]
    if not index.is_file():
        raise CheckpointError(f"{folder} has neither {WEIGHTS_FILE} nor {INDEX_FILE}")
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map")
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name or Path(name).suffix != SUFFIX:
            raise CheckpointError(f"{index} names {name!r}, which is no {SUFFIX} file beside it")
    shards = [folder / name for name in sorted(set(weight_map.values()))]
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(f"{shard} is missing, {index.name} names it")
    return shards


def read_object(file: Path) -> dict[str, object]:
    """The JSON object in a file.

    Raises:
        CheckpointError: There is none.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CheckpointError(f"{file} cannot be read: {reason}") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return values
