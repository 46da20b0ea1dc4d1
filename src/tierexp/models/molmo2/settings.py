"""What a Molmo2 folder says of its model before its weights are read.

In: `config.json` and, where they are there, `processor_config.json` and
`preprocessor_config.json`, as released or as `transformers` saves them. Out: the crops, the blocks,
the tokens around an image. Imports neither torch nor transformers, so that a run can be described
at once; every other number is left to `transformers`' own configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.checkpoint_files import CONFIG_FILE, read_object
from tierexp.models.molmo2.known_keys import ADAPTER, TEXT, TOP, VISION
from tierexp.models.molmo2.pooled_canvas import PooledCanvas
from tierexp.tiers.geometry import CropGeometry

PROCESSOR_FILE = "processor_config.json"
IMAGE_PROCESSOR_FILE = "preprocessor_config.json"

_IMAGE_PROCESSOR = {
    "size": {"height": 378, "width": 378},
    "patch_size": 14,
    "overlap_margins": [4, 4],
    "pooling_size": [2, 2],
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "max_crops": 8,
}
"""What `Molmo2ImageProcessor` takes where the file is silent, and what is published."""

_PROCESSOR = {
    "image_use_col_tokens": True,
    "use_single_crop_col_tokens": None,
    "use_single_crop_start_token": True,
}
"""What `Molmo2Processor` takes where the file is silent; None: as the canvas."""

_PUBLISHED_PROCESSOR = _PROCESSOR | {"use_single_crop_col_tokens": False}
"""What the published files say, where a folder has none."""


@dataclass(frozen=True)
class Molmo2Settings:
    """What is known of a Molmo2 before its weights are read.

    Args:
        geometry: The crops it was trained on.
        num_blocks: Transformer blocks of the decoder.
        image_mean: Subtracted from colours in [0, 1], one number a channel.
        image_std: What they are then divided by.
        token_ids: Ids of the special tokens whose ids the model's configuration states, by
            name.
        canvas_cols: Whether a token ends every row of the canvas.
        view_cols: Whether one ends every row of the global view.
        own_view_start: Whether the global view has a start token of its own.
        max_crops: Most crops of the processor's own rule for tilings.
    """

    geometry: CropGeometry
    num_blocks: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    token_ids: Mapping[str, int]
    canvas_cols: bool
    view_cols: bool
    own_view_start: bool
    max_crops: int


def read_settings(folder: Path) -> Molmo2Settings:
    """The settings of a checkpoint folder.

    Raises:
        CheckpointError: There is no `config.json`, it is not of a Molmo2 or asks for what is not
            implemented; or a file contradicts another.
    """
    config = read_object(folder / CONFIG_FILE)
    if config.get("model_type") != "molmo2":
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: model_type={config.get('model_type')!r} is not molmo2"
        )
    processor, images = _processors(folder)
    try:
        _refuse_unimplemented(config)
        cols = _flag(processor, "image_use_col_tokens")
        unstated = processor["use_single_crop_col_tokens"] is None
        return Molmo2Settings(
            geometry=_geometry(config, images),
            num_blocks=_number(_part(config, "text_config"), "num_hidden_layers"),
            image_mean=_three(images, "image_mean"),
            image_std=_three(images, "image_std"),
            token_ids={
                "<im_start>": _number(config, "image_start_token_id"),
                "<low_res_im_start>": _number(config, "low_res_image_start_token_id"),
                "<im_end>": _number(config, "image_end_token_id"),
                "<im_patch>": _number(config, "image_patch_id"),
            },
            canvas_cols=cols,
            view_cols=cols if unstated else _flag(processor, "use_single_crop_col_tokens"),
            own_view_start=_flag(processor, "use_single_crop_start_token"),
            max_crops=_number(images, "max_crops"),
        )
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None


def _processors(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The settings of the processor and of its image processor: as published, where no file is."""
    file, image_file = folder / PROCESSOR_FILE, folder / IMAGE_PROCESSOR_FILE
    stated = read_object(file) if file.is_file() else {}
    processor = (_PROCESSOR if file.is_file() else _PUBLISHED_PROCESSOR) | stated
    nested = stated.get("image_processor")
    if not isinstance(nested, dict):
        nested = read_object(image_file) if image_file.is_file() else {}
    return processor, _IMAGE_PROCESSOR | nested


def _refuse_unimplemented(config: Mapping[str, Any]) -> None:
    TOP.refuse_others(config)
    vision = "vit_config" if "vit_config" in config else "vision_config"
    for name, known in ((vision, VISION), ("text_config", TEXT), ("adapter_config", ADAPTER)):
        if name in config:
            known.refuse_others(_part(config, name), f"{name}.")


def _geometry(config: Mapping[str, Any], images: Mapping[str, Any]) -> CropGeometry:
    # The released files and those that transformers saves use different words.
    vision = _part(config, "vit_config" if "vit_config" in config else "vision_config")
    old = "image_default_input_size" in vision
    size = _pair(vision, "image_default_input_size" if old else "image_size")
    patch = _number(vision, "image_patch_size" if "image_patch_size" in vision else "patch_size")
    of_processor = _part(images, "size")
    cut = _number(of_processor, "height"), _number(of_processor, "width")
    if not cut == size == (size[0], size[0]) or patch != _number(images, "patch_size"):
        raise CheckpointError(
            f"the image processor cuts crops of {cut} pixels in patches of "
            f"{images['patch_size']}, the model takes {size} in patches of {patch}"
        )
    margins, pooling = _pair(images, "overlap_margins"), _pair(images, "pooling_size")
    try:
        return PooledCanvas(size[0], patch, margins, pooling)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def _part(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = values.get(key)
    if not isinstance(part, dict):
        raise CheckpointError(f"{key} is not an object")
    return part


def _number(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CheckpointError(f"{key}={value!r} is not a whole number >= 0")
    return value


def _flag(values: Mapping[str, Any], key: str) -> bool:
    value = values[key]
    if not isinstance(value, bool):
        raise CheckpointError(f"{key}={value!r} is not true or false")
    return value


def _pair(values: Mapping[str, Any], key: str) -> tuple[int, int]:
    value = values.get(key)
    if not isinstance(value, Sequence) or len(value) != 2 or any(type(v) is not int for v in value):
        raise CheckpointError(f"{key}={value!r} is not two whole numbers")
    return value[0], value[1]


def _three(values: Mapping[str, Any], key: str) -> tuple[float, ...]:
    value = values[key]
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    if not numbers or len(value) != 3:
        raise CheckpointError(f"{key}={value!r} is not three numbers")
    return tuple(map(float, value))
