"""From patch features to vision tokens: padding embeddings, attention pooling, projector.

In: what the vision transformer says of every patch, and how much of the patch shows the image.
Out: one vector per vision token, as wide as the language model. Follows "Molmo and PixMo" (2024),
section 2, and the released code (`attention_meanq` pooling, `pad_and_partial_pad`). Attributes are
named as in the released checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.models.molmo.vision import VisionAttention


def add_padding_embeddings(features: Tensor, pad_embed: Tensor, patch_mask: Tensor) -> Tensor:
    """Tell the model which patches show padding.

    Args:
        features: (..., P, C), of every patch.
        pad_embed: (2, C): added to patches that are all padding, and to partly padded ones.
        patch_mask: (..., P): the fraction of a patch that shows the image. Any other share below 1
            counts as partly padded, the -1 of a crop without a mask included, as in the released
            code.

    Returns:
        (..., P, C).
    """
    kinds = (patch_mask < 1).long() + ((patch_mask < 1) & (patch_mask != 0))
    return features + F.embedding(kinds, F.pad(pad_embed, (0, 0, 1, 0)))


def pooling_windows(features: Tensor, pooling: tuple[int, int]) -> Tensor:
    """Gather the patches of every pooling window.

    Args:
        features: (B, h, w, C); zeros fill a window that reaches over the edge.
        pooling: Patches of a window, (height, width).

    Returns:
        (B · tokens, pooling height · pooling width, C), windows row by row.
    """
    height, width = pooling
    below, beside = -features.shape[1] % height, -features.shape[2] % width
    features = F.pad(features, (0, 0, 0, beside, 0, below))
    batch, rows, cols, channels = features.shape
    windows = features.view(batch, rows // height, height, cols // width, width, channels)
    return windows.transpose(2, 3).reshape(-1, height * width, channels)


class Projector(nn.Module):
    """A gated linear unit: w2(silu(w1 x) · w3 x)."""

    def __init__(self, in_width: int, hidden_width: int, out_width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(in_width, hidden_width, bias=False)
        self.w2 = nn.Linear(hidden_width, out_width, bias=False)
        self.w3 = nn.Linear(in_width, hidden_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_width) to (..., out_width)."""
        gate = F.silu(self.w1(x), inplace=not torch.is_grad_enabled())
        output: Tensor = self.w2(gate * self.w3(x))
        return output


class MeanQueryPooling(VisionAttention):
    """Attention over the patches of a window whose query is their mean."""

    def pool(self, windows: Tensor) -> Tensor:
        """(M, window, in_width) to (M, width)."""
        pooled: Tensor = self(windows.mean(dim=1, keepdim=True), windows)
        return pooled.squeeze(1)

    def pool_unprojected(self, windows: Tensor) -> Tensor:
        """As `pool`, in half the time on a CPU: no patch's key or value is made.

        A window has one query and few patches. The query q looks at the key W x of a patch as W'q
        looks at x, and the mean of values is the value of the mean. The bias of the keys adds the
        same to every patch of a window and changes nothing.
        """
        keys, values = (
            projection.weight.view(self.num_heads, -1, windows.shape[-1])
            for projection in (self.wk, self.wv)
        )  # (H, D, in_width)
        queries = self.wq(windows.mean(dim=1)).unflatten(-1, (self.num_heads, -1))  # (M, H, D)
        asked = (queries.transpose(0, 1) * keys.shape[1] ** -0.5) @ keys  # (H, M, in_width)
        weights = (asked.transpose(0, 1) @ windows.mT).softmax(dim=-1)  # (M, H, window)
        gathered = (weights @ windows).transpose(0, 1) @ values.mT  # (H, M, D)
        output: Tensor = self.wo(gathered.transpose(0, 1).flatten(1) + self.wv.bias)
        return output
