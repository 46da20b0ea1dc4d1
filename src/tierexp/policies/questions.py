"""Questions as far as they are known before anything is encoded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Questions:
    """N questions at P points: what a router may look at, and nothing else.

    Args:
        texts: (N) as put to the model.
        images: (N) keys of the images; questions about one image share it.
        sizes: (N, 2) (height, width) in pixels of the images.
        tilings: (N, P, 2) rows and columns of crops.
        mismatch: (N, P) of aspect ratios.
        llm_vision_tokens: (N, P) what the language model would receive.
        selected_vision_tokens: (N, P) what would be encoded.
        top_k: (P) experts per token; 1 for a dense model.
        num_active_blocks: (P) decoder blocks that would run; 1 where the decoder is no stack of
            them.
    """

    texts: tuple[str, ...]
    images: tuple[str, ...]
    sizes: Floats
    tilings: Floats
    mismatch: Floats
    llm_vision_tokens: Floats
    selected_vision_tokens: Floats
    top_k: Floats
    num_active_blocks: Floats

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_points(self) -> int:
        """P."""
        return int(self.mismatch.shape[1])
