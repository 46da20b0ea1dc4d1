"""VisionZip: "Longer is Better but Not Necessary in Vision Language Models" (2412.04467):
*dominant* tokens are those that the class token attends to most (as `cls_attention`);
the others are merged into *contextual* tokens: some of them, evenly spaced, are targets, and each
of the rest joins the target whose key is most similar; a contextual token is the mean of its target
and those that joined it.

The paper merges before the projector. Molmo pools windows of patches in between, so that here the
vision tokens after it are merged, by the keys of their patches. The released code adds the mean of
those that joined to the target, which doubles a token's length before the projector; behind it no
decoder has seen such tokens, and here the mean is of both. Its targets begin at the first of the
rest, in whole steps; here they are the middles of equal parts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import Kept, chosen, highest, unit_length
from tierexp.models.knobs.reduction.stride import strided_places

CONTEXTUAL = 10 / 64
"""Fraction of contextual tokens: the paper's 64 tokens are 54 and 10, its 128 and 192 in
proportion."""


def dominant_and_contextual(
    tokens: Tensor, scores: Tensor, keys: Tensor, count: int, contextual: float = CONTEXTUAL
) -> Kept:
    """Dominant and contextual tokens, together as many as asked.

    Args:
        tokens: (N, C).
        scores: (N,), what the class token attends to.
        keys: (N, D), the mean over heads.
        count: Below N.
        contextual: Fraction of the contextual tokens, rounded half up.
    """
    targets = int(contextual * count + 0.5)
    dominant = highest(scores, count - targets)
    if targets == 0:
        return chosen(tokens, dominant)
    others = _without(len(tokens), dominant)  # (N - dominant,)
    is_target = strided_places(len(others), targets).to(others.device)
    joining = _without(len(others), is_target)
    unit = unit_length(keys[others])
    joined = (unit[joining] @ unit[is_target].mT).argmax(dim=1)  # (joining,)
    merged = tokens[others[is_target]]
    sizes = merged.new_ones(targets).index_add(0, joined, merged.new_ones(len(joined)))
    merged = merged.index_add(0, joined, tokens[others[joining]]) / sizes[:, None]
    places, order = torch.cat([dominant, others[is_target]]).sort()
    return Kept(places, torch.cat([tokens[dominant], merged])[order])


def _without(count: int, places: Tensor) -> Tensor:
    """The numbers below `count` that are not among `places`, ascending."""
    left = torch.ones(count, dtype=torch.bool, device=places.device).index_fill(0, places, False)
    return left.nonzero().squeeze(1)
