"""Prompts without some of their vision tokens.

In: a token layout and which vision tokens to leave out. Out: a shorter layout in which they are
dropped, as if an overlap had given them already. Training only: "Scaling Language-Image
Pre-training via Masking" (2023) drops patches in the same spirit, to learn from more samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierexp.models.molmo.token_layout import DROPPED, TokenLayout


def without(layout: TokenLayout, left_out: NDArray[np.bool_]) -> TokenLayout:
    """Leave vision tokens out of a layout, and their places out of its sequence.

    Args:
        layout: Layout of one image.
        left_out: (N + 1, K): which vision tokens; those that are dropped anyway stay so.
    """
    positions = layout.image_input_idx
    leaving = left_out & (positions != DROPPED)
    stays = np.ones(len(layout.input_ids), bool)
    stays[positions[leaving]] = False
    moved = np.cumsum(stays) - 1  # (T,): where each token that stays ends up
    kept = np.where((positions == DROPPED) | leaving, DROPPED, moved[positions])
    return TokenLayout(layout.input_ids[stays], kept)
