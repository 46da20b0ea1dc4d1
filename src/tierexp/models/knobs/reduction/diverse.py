"""DivPrune: "Diversity-based Visual Token Pruning for Large Multimodal Models" (2503.02175):
of all subsets of n tokens, one whose least distance between two tokens is greatest
(max-min diversity), found greedily: first the token that is farthest
from its nearest neighbour, then always the one farthest from its nearest among those chosen. The
distance is one less the cosine of the tokens that the language model receives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import unit_length


def diverse_places(tokens: Tensor, count: int) -> Tensor:
    """(count,) int64, in the order in which they were chosen; of equal distances the first.

    Args:
        tokens: (N, C).
        count: At most N, at least 1.
    """
    unit = unit_length(tokens)
    distances = 1 - unit @ unit.mT  # (N, N)
    apart = distances.clone().fill_diagonal_(torch.inf)
    nearest = apart.min(dim=1).values
    places = torch.empty(count, dtype=torch.long, device=tokens.device)
    for number in range(count):
        place = nearest.argmax()
        places[number] = place
        # From the second on, distances are to chosen tokens alone.
        nearest = distances[place].clone() if number == 0 else nearest.minimum(distances[place])
        nearest[places[: number + 1]] = -torch.inf
    return places
