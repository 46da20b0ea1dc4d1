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
class Sight:
    """Who sees whom behind I images of P tokens, in Q questions of S tokens each.

    Args:
        questions: (I, 1, Q · S, P + Q · S) float, to add to the scores of the questions' tokens.
        answers: (I, 1, Q, P + Q · S + Q · N) float, to those of each new token, for N steps in
            which every question gets one.
        positions: (I, Q · S) int64, of the questions' tokens.
        next_positions: (I, Q) int64, of the first new tokens.
    """

    questions: Tensor
    answers: Tensor
    positions: Tensor
    next_positions: Tensor


def sight(
    image: Tensor, questions: Tensor, steps: int, dtype: torch.dtype, bias: Tensor | None
) -> Sight:
    """See `Sight`.

    Args:
        image: (I, P) bool, False on padding before the image.
        questions: (I, Q, S) bool, False on padding before a question, and where there is none.
        steps: N.
        dtype: Dtype of the scores.
        bias: (I, P) float, added to the scores of the image's tokens; None for nothing.
    """
    images, most, length = questions.shape
    device = questions.device
    far = torch.zeros(image.shape, dtype=dtype, device=device) if bias is None else bias
    far = far.masked_fill(~image, -torch.inf)[:, None, None, :]  # (I, 1, 1, P)
    same = torch.eye(most, dtype=torch.bool, device=device)
    token = torch.arange(length, device=device)
    before = token < token[:, None]
    # Padding sees itself, as a softmax over nothing is not a number and would spread.
    near = before & questions[:, :, None, :] | torch.eye(length, dtype=torch.bool, device=device)
    near = (near[:, :, :, None, :] & same[:, None, :, None]).view(images, most * length, -1)
    own = (questions[:, None] & same[:, :, None]).flatten(2)  # (I, Q, Q · S)
    new = same.repeat(1, steps).expand(images, -1, -1)  # (I, Q, Q · N)

    def joined(seen: Tensor) -> Tensor:
        scores = torch.zeros(seen.shape, dtype=dtype, device=device)
        scores = scores.masked_fill_(~seen, -torch.inf)[:, None]
        return torch.cat([far.expand(-1, -1, seen.shape[1], -1), scores], dim=3)

    first = image.sum(dim=1)[:, None, None]  # (I, 1, 1)
    positions = first + (questions.long().cumsum(dim=2) - 1).clamp(min=0)
    return Sight(
        joined(near),
        joined(torch.cat([own, new], dim=2)),
        positions.flatten(1),
        first[:, 0] + questions.sum(dim=2),
    )
