"""Which of several processes this is, where somebody else has started them; imports no torch."""

from __future__ import annotations

import os

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Where torchrun and srun tell a process its number."""


class NotRankZero:
    """What a job returns in a process that has had a part in a run, and is not to speak for it."""


def is_rank_zero() -> bool:
    """Whether the environment says of no other number than 0."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
