"""DivPrune: "Diversity-based Visual Token Pruning for Large Multimodal Models" (2503.02175):
of all subsets of n tokens, one whose least distance between two tokens is greatest
(max-min diversity), found greedily: first the token that is farthest
from its nearest neighbour, then always the one farthest from its nearest among those chosen. The
distance is one less the cosine of the tokens that the language model receives. As in the released
code, but that no token is taken twice.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tierexp.models.knobs.reduction.kept import unit_length


def diverse_places(tokens: Tensor, count: int) -> Tensor:
    """(count,) int64, in the order in which they were chosen; of equal distances the first.

    Args:
        tokens: (N, C).
        count: At most N, at least 1.
    """
    unit = unit_length(tokens)
    # A choice is of a thousand numbers, many times over: what is asked costs less than asking a
    # device, or torch, for it.
    distances: NDArray[np.float32] = (1 - unit @ unit.mT).detach().cpu().numpy()  # (N, N)
    own = distances.diagonal().copy()
    np.fill_diagonal(distances, np.inf)
    place = int(distances.min(axis=1).argmax())
    np.fill_diagonal(distances, own)
    # From the second on, distances are to chosen tokens alone.
    nearest = distances[place].copy()
    nearest[place] = -np.inf
    places = [place]
    while len(places) < count:
        place = int(nearest.argmax())
        places.append(place)
        np.minimum(nearest, distances[place], out=nearest)
        nearest[place] = -np.inf
    return torch.tensor(places, device=tokens.device)
