"""ToMe: "Token Merging: Your ViT But Faster" (2210.09461), section 3: bipartite soft matching. The
tokens are parted into A and B by turns; each of A is tied to the most similar of B, by the cosine
of their keys; the r strongest ties are merged, as means weighted by size; then again, until as many
are left as asked. In attention a token counts as often as its size s says (equation 1):

    A = softmax(Q K^T / sqrt(D) + log s).

The paper merges a little in every block of the encoder. Here the encoder's output is merged, by the
keys of its last block, in as few rounds as it takes (a round at most halves the tokens); a merged
token's key is the mean of its keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.kept import Kept, unit_length


def merged(tokens: Tensor, keys: Tensor, count: int) -> Kept:
    """Tokens merged until so many are left; a merged one stands where its part of B stood.

    Args:
        tokens: (N, C).
        keys: (N, D), the mean over heads.
        count: At most N, at least 1.
    """
    places = torch.arange(len(tokens), device=tokens.device)
    sizes = torch.ones(len(tokens), device=tokens.device)
    keys = keys.float()
    while len(places) > count:
        ties = min(len(places) - count, len(places) // 2)
        tokens, keys, sizes, stays = _merge_once(tokens, keys, sizes, ties)
        places = places[stays]
    return Kept(places, tokens, sizes)


def _merge_once(
    tokens: Tensor, keys: Tensor, sizes: Tensor, ties: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Merge the strongest `ties`, at most half of the tokens; tokens, keys and sizes of those that
    stay, and (n,) int64, which these are.
    """
    everyone = torch.arange(len(tokens), device=tokens.device)
    # Of an odd number of tokens the last is in A, as in the paper's code; half of them can be tied.
    a, b = everyone[::2], everyone[1::2]
    unit = unit_length(keys)
    similarity, nearest = (unit[a] @ unit[b].mT).max(dim=1)  # (A,)
    strongest = similarity.sort(descending=True, stable=True).indices[:ties]
    leaving, into = a[strongest], b[nearest[strongest]]
    total = sizes.index_add(0, into, sizes[leaving])
    stays = torch.ones_like(sizes, dtype=torch.bool).index_fill(0, leaving, False)

    def mean(values: Tensor) -> Tensor:
        weighted = values * sizes[:, None].to(values.dtype)
        sums = weighted.index_add(0, into, weighted[leaving])
        # What nothing was merged into stays as it is, bit by bit.
        changed = (total != sizes)[:, None]
        return torch.where(changed, sums / total[:, None].to(values.dtype), values)[stays]

    return mean(tokens), mean(keys), total[stays], everyone[stays]
