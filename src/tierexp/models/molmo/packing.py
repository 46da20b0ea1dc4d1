"""Questions about one image, packed one behind the other in the image's own row.

In: which image each prompt of a batch is about. Out: where its question is, and who sees whom. The
keys of an image are then there once, and not once for each question; a question sees its image and
itself. Knows nothing about a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True)
class Packing:
    """Slots for B prompts behind I images, Q of them behind each.

    Args:
        slots: (B,) int64, each prompt's own, counted through all images.
        images: I.
        most: Q.
    """

    slots: Tensor
    images: int
    most: int

    def spread(self, rows: Tensor) -> Tensor:
        """(B, ...) to (I, Q, ...); zeros where there is no prompt."""
        room = rows.new_zeros(self.images * self.most, *rows.shape[1:])
        room.index_copy_(0, self.slots, rows)
        return room.view(self.images, self.most, *rows.shape[1:])

    def collect(self, packed: Tensor) -> Tensor:
        """(I, Q, ...) to (B, ...)."""
        return packed.flatten(0, 1).index_select(0, self.slots)


def packing_of(image_index: Tensor, images: int) -> Packing:
    """Slots in the order of the prompts about each image.

    Args:
        image_index: (B,) int64, the image of each prompt.
        images: How many there are.
    """
    about = F.one_hot(image_index, images).cumsum(dim=0)  # (B, I)
    place = about.gather(1, image_index[:, None])[:, 0] - 1
    most = int(about[-1].max())
    return Packing(image_index * most + place, images, most)


@dataclass(frozen=True)
class Questions:
    """The tokens of packed questions, one question behind the other, W of them behind each image
    at most: those of several lengths are not padded to the longest.

    Args:
        ids: (I, W) int64; 0 behind the last question.
        owners: (I, W) int64: which of the image's Q questions a token belongs to, -1 behind the
            last.
        ends: (I, Q) int64: the place behind the last token of each question.
        lengths: (I, Q) int64, 0 where there is no question.
    """

    ids: Tensor
    owners: Tensor
    ends: Tensor
    lengths: Tensor

    @property
    def firsts(self) -> Tensor:
        """(I, Q) int64: the place of the first token of each question."""
        return self.ends - self.lengths


def in_rows(packing: Packing, ids: Tensor, real: Tensor) -> Questions:
    """Questions behind their images.

    Args:
        packing: Packing of the prompts.
        ids: (B, S) int64, their questions.
        real: (B, S) bool, False on padding.
    """
    lengths = packing.spread(real.sum(dim=1))
    ends = lengths.cumsum(dim=1)
    order = packing.slots.argsort()
    real, slots = real[order], packing.slots[order, None] % packing.most
    taken = torch.arange(int(ends[:, -1].max()), device=ids.device) < ends[:, -1:]  # (I, W)
    tokens = ids.new_zeros(taken.shape).masked_scatter_(taken, ids[order][real])
    owners = ids.new_full(taken.shape, -1).masked_scatter_(taken, slots.expand_as(real)[real])
    return Questions(tokens, owners, ends, lengths)


@dataclass(frozen=True)
class Sight:
    """Who sees whom behind I images of P tokens, in Q questions of W tokens together.

    Args:
        questions: (I, 1, W, P + W) float, to add to the scores of the questions' tokens.
        answers: (I, 1, Q, P + W + Q · N) float, to those of each new token, for N steps in which
            every question gets one.
        positions: (I, W) int64, of the questions' tokens.
        next_positions: (I, Q) int64, of the first new tokens.
    """

    questions: Tensor
    answers: Tensor
    positions: Tensor
    next_positions: Tensor


def sight(
    image: Tensor, questions: Questions, steps: int, dtype: torch.dtype, bias: Tensor | None
) -> Sight:
    """See `Sight`.

    Args:
        image: (I, P) bool, False on padding before the image.
        questions: Behind it.
        steps: N.
        dtype: Dtype of the scores.
        bias: (I, P) float, added to the scores of the image's tokens; None for nothing.
    """
    owners = questions.owners
    (images, width), most, device = owners.shape, questions.ends.shape[1], owners.device
    far = torch.zeros(image.shape, dtype=dtype, device=device) if bias is None else bias
    far = far.masked_fill(~image, -torch.inf)[:, None, None, :]  # (I, 1, 1, P)
    # Padding sees padding, as a softmax over nothing is not a number and would spread.
    near = (owners[:, :, None] == owners[:, None, :]).tril_()  # (I, W, W)
    slots = torch.arange(most, device=device)
    own = owners[:, None, :] == slots[:, None]  # (I, Q, W)
    new = (slots == slots[:, None]).repeat(1, steps).expand(images, -1, -1)  # (I, Q, Q · N)

    def joined(seen: Tensor) -> Tensor:
        scores = torch.zeros(seen.shape, dtype=dtype, device=device)
        scores = scores.masked_fill_(~seen, -torch.inf)[:, None]
        return torch.cat([far.expand(-1, -1, seen.shape[1], -1), scores], dim=3)

    first = image.sum(dim=1, keepdim=True)  # (I, 1)
    before = questions.firsts.gather(1, owners.clamp(min=0))  # (I, W)
    return Sight(
        joined(near),
        joined(torch.cat([own, new], dim=2)),
        first + torch.arange(width, device=device) - before,
        first + questions.lengths,
    )
