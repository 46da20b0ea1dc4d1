"""Which device holds which block of a decoder that is too large for one.

In: how many devices are wanted, and how large the parts are. Out: a device for every block, in
order, so that activations cross from one device to the next once. Knows nothing about what a block
computes. Imports torch where devices are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tierexp.config.checks import whole_number
from tierexp.errors import ConfigError

if TYPE_CHECKING:
    import torch

Devices = int | Literal["auto"]
"""How many devices hold a model; `auto`: all GPUs of the machine, or the one that is no GPU."""


def check_devices(wanted: object) -> None:
    """A setting of `model.devices`, as far as it can be judged before torch is asked.

    Raises:
        ConfigError: Neither a number from 1 on nor `auto`.
    """
    if wanted == "auto":
        return
    try:
        whole_number("model.devices", wanted, 1)
    except ConfigError as error:
        raise ConfigError(error.key, wanted, f"{error.allowed}, or auto") from None


def devices_from(wanted: Devices, first: torch.device) -> tuple[torch.device, ...]:
    """The devices that hold a model, the one that inputs are on first.

    Args:
        wanted: The setting.
        first: Where inputs are.

    Raises:
        ConfigError: There are not so many, or several processes have a model each.
    """
    import torch

    known = torch.cuda.device_count() if first.type == "cuda" else 1
    number = known if wanted == "auto" else wanted
    if number == 1:
        return (first,)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        raise ConfigError("model.devices", wanted, "1 with several processes, a device for each")
    if number > known:
        what = f"the GPUs of this machine ({known})" if first.type == "cuda" else "1: it is one CPU"
        raise ConfigError("model.devices", wanted, f"at most {what}")
    start = first.index or 0
    return tuple(torch.device("cuda", (start + place) % known) for place in range(number))


def spread(
    blocks: Sequence[int], besides: int, devices: Sequence[torch.device]
) -> list[torch.device]:
    """A device for each block, so that all hold about as many bytes.

    Args:
        blocks: Bytes of every block.
        besides: Bytes of what is on the first device whatever becomes of the blocks.
        devices: At least one.
    """
    share = (sum(blocks) + besides) / len(devices)
    places, before = [], float(besides)
    for size in blocks:
        # Where its middle lies on a line of all bytes.
        place = min(int((before + size / 2) / share), len(devices) - 1)
        places.append(devices[place])
        before += size
    return places
