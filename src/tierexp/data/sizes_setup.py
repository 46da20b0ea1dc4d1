"""The sizes of a data set's images, for whatever needs no pixels, checked and read from headers."""

from __future__ import annotations

from typing import get_args

from omegaconf import DictConfig

from tierexp.config.build import build
from tierexp.config.checks import choice
from tierexp.data.loader_settings import LoaderSettings
from tierexp.data.sample import OnError
from tierexp.data.sizes import ImageSizes, sample_sizes
from tierexp.errors import DataError


def read_image_sizes(config: DictConfig, purpose: str) -> ImageSizes:
    """The sizes of the images that the group `data` describes, without decoding anything.

    Args:
        config: As composed; of its groups only `data` is read.
        purpose: What the sizes are for, a verb.

    Raises:
        ConfigError: A key of the group that nothing reads, or a value that cannot work.
        DataError: The data file is malformed or empty, or an image's header cannot be read and
            `data.on_error` is `raise`.
    """
    data = config.data if isinstance(config.data, DictConfig) else {}
    on_error = data.get("on_error")
    choice("data.on_error", on_error, get_args(OnError))
    of_loader = [name for name in LoaderSettings.names() if name in data]
    dataset = build(config, "data", leave_out=of_loader)
    sizes = dataset if isinstance(dataset, ImageSizes) else sample_sizes(dataset)
    if not (len(sizes.heights) or sizes.unreadable):
        raise DataError(f"data set {sizes.name} has no samples: there is nothing to {purpose}")
    if on_error == "raise" and sizes.unreadable:
        name, reason = next(iter(sizes.unreadable.items()))
        raise DataError(f"sample {name}: {reason}")
    return sizes


def require_a_size(sizes: ImageSizes) -> None:
    """End the run where no image could be read.

    Raises:
        SystemExit: With code 1 and the first reason.
    """
    if not len(sizes.heights):
        name, reason = next(iter(sizes.unreadable.items()))
        raise SystemExit(
            f"error: all {len(sizes.unreadable)} samples failed, the first, {name}: {reason}"
        )
