"""What encoding images costs in models of `transformers`: patches to vision tokens.

In: a model's configuration and the patches of each image that its encoder sees. Out: operations,
counted as in `tierexp.models.transformers_family.flops`; None where it is not known how a family,
or its encoder, computes. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from tierexp.models.plans.plan import Grid

_PLAIN_ENCODERS = {
    "clip_vision_model": 1, "idefics3_vision": 0, "internvl_vision": 1, "siglip_vision_model": 0,
    "smolvlm_vision": 0,
}  # fmt: skip
"""Encoders of square crops whose patches all see each other, and how many tokens stand beside the
patches."""


def vision_flops(config: Any, grids: Sequence[Grid]) -> int | None:
    """Of encoding images and bringing them to the language model's width.

    Args:
        config: The model's.
        grids: Rows and columns of patches of every image that the encoder sees.
    """
    count = _FAMILIES.get(config.model_type)
    return None if count is None else count(config, grids)


def linear_flops(rows: int, *widths: int) -> int:
    """Of layers one after another, each from one width to the next."""
    return sum(2 * rows * before * after for before, after in pairwise(widths))


def encoder_flops(
    sequences: Iterable[int], width: int, mlp_width: int, *, gated: bool = False
) -> int:
    """Of one block whose tokens see all tokens of their sequence, both ways.

    Args:
        sequences: Their lengths.
        width: Of the tokens, and of all heads together.
        mlp_width: Between the two layers, or three of a gated one.
        gated: Whether there are three.
    """
    per_token = 8 * width * width + (6 if gated else 4) * width * mlp_width
    return sum(tokens * (per_token + 4 * tokens * width) for tokens in sequences)


def _plain_encoder(vision: Any, grids: Sequence[Grid]) -> int | None:
    beside = _PLAIN_ENCODERS.get(vision.model_type)
    if beside is None or getattr(vision, "vision_use_head", False):
        return None
    side = vision.patch_size
    area = side * side if isinstance(side, int) else side[0] * side[1]
    patches = [rows * cols for rows, cols in grids]
    embedding = linear_flops(sum(patches), area * vision.num_channels, vision.hidden_size)
    block = encoder_flops(
        (number + beside for number in patches), vision.hidden_size, vision.intermediate_size
    )
    return embedding + int(vision.num_hidden_layers) * block


def _projected(config: Any, grids: Sequence[Grid], rows: int, *widths: int) -> int | None:
    """Of a plain encoder and of `rows` of its features brought through layers of `widths`."""
    encoder = _plain_encoder(config.vision_config, grids)
    return None if encoder is None else encoder + linear_flops(rows, *widths)


def _patches(grids: Sequence[Grid]) -> int:
    return sum(rows * cols for rows, cols in grids)


def _internvl(config: Any, grids: Sequence[Grid]) -> int | None:
    merged = round(1 / config.downsample_ratio) ** 2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return _projected(config, grids, _patches(grids) // merged, merged * width, text, text)


def _idefics3(config: Any, grids: Sequence[Grid]) -> int | None:
    merged = config.scale_factor**2
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return _projected(config, grids, _patches(grids) // merged, merged * width, text)


def _llava(config: Any, grids: Sequence[Grid]) -> int | None:
    layers = config.vision_feature_layer
    taken = 1 if isinstance(layers, int) else len(layers)
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return _projected(config, grids, _patches(grids), taken * width, text, text)


def _aya_vision(config: Any, grids: Sequence[Grid]) -> int | None:
    merged, text = config.downsample_factor**2, config.text_config.hidden_size
    hidden = getattr(config, "alignment_intermediate_size", text)
    rows, features = _patches(grids) // merged, merged * config.vision_config.hidden_size
    encoder = _projected(config, grids, rows, features, hidden)
    # Half of what comes out gates the other half.
    return None if encoder is None else encoder + linear_flops(rows, hidden // 2, text)


def _gemma3(config: Any, grids: Sequence[Grid]) -> int | None:
    tokens = len(grids) * config.mm_tokens_per_image
    width, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return _projected(config, grids, tokens, width, text)


def _qwen2_vl(config: Any, grids: Sequence[Grid]) -> int:
    vision = config.vision_config
    width: int = vision.embed_dim
    block = encoder_flops(map(_area, grids), width, int(width * vision.mlp_ratio))
    return _qwen(vision, grids, width, vision.depth * block, vision.hidden_size)


def _qwen2_5_vl(config: Any, grids: Sequence[Grid]) -> int:
    vision = config.vision_config
    width, mlp_width = vision.hidden_size, vision.intermediate_size
    whole = encoder_flops(map(_area, grids), width, mlp_width, gated=True)
    side = vision.window_size // vision.patch_size
    windows = [window for grid in grids for window in _window_lengths(grid, side)]
    parts = encoder_flops(windows, width, mlp_width, gated=True)
    full = sum(index in vision.fullatt_block_indexes for index in range(vision.depth))
    blocks = full * whole + (vision.depth - full) * parts
    return _qwen(vision, grids, width, blocks, vision.out_hidden_size)


def _qwen3_vl(config: Any, grids: Sequence[Grid]) -> int:
    vision = config.vision_config
    width: int = vision.hidden_size
    block = encoder_flops(map(_area, grids), width, vision.intermediate_size)
    mergers = 1 + len(vision.deepstack_visual_indexes)
    return _qwen(vision, grids, width, vision.depth * block, vision.out_hidden_size, mergers)


def _qwen(
    vision: Any, grids: Sequence[Grid], width: int, blocks: int, out: int, mergers: int = 1
) -> int:
    """Patches of an image taken twice, as of a film; blocks; what merges patches into tokens."""
    volume = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    merged = vision.spatial_merge_size**2
    patches = _patches(grids)
    merger = linear_flops(patches // merged, merged * width, merged * width, out)
    return int(linear_flops(patches, volume, width) + blocks + mergers * merger)


def _area(grid: Grid) -> int:
    return grid[0] * grid[1]


def _window_lengths(grid: Grid, side: int) -> list[int]:
    """Patches in each square window of `side` patches; those at the far edges may be smaller."""
    heights, widths = (
        [min(side, whole - start) for start in range(0, whole, side)] for whole in grid
    )
    return [height * width for height in heights for width in widths]


_FAMILIES: dict[str, Callable[[Any, Sequence[Grid]], int | None]] = {
    "aya_vision": _aya_vision,
    "gemma3": _gemma3,
    "idefics3": _idefics3,
    "internvl": _internvl,
    "llava_next": _llava,
    "llava_onevision": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": _idefics3,
}
"""By the model's `model_type`."""
