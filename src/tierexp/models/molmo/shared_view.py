"""The global view of an image that is looked at in several passes, encoded once.

A cascade asks about the same image at one tier after the other; its global view is the same at
every tier. In: a pass's crops. Out: their vision tokens, the global view's from an earlier pass
where it was the same, pixel by pixel. On a CPU the encoder says the same of a view whatever it is
encoded with, so the answers are those of whole passes, bit by bit; elsewhere up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tierexp.models.molmo.encoded_memory import digest

Encode = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""From pixels, (I, N, S, S, 3), patch masks, (I, N, P), and which tokens are read, (I, N, K) bool,
None for all, to vision tokens, (I, N, K, C)."""


class SharedView:
    """What is known of the images that are looked at now: nothing until `begin`. What a pass has
    encoded is known from `next_pass` on: a pass that is repeated, to be timed, costs the same.
    """

    def __init__(self) -> None:
        self.on = False
        """Whether images may come again."""
        self._known: dict[bytes, Tensor] = {}
        self._new: dict[bytes, Tensor] = {}
        self._digested: tuple[Tensor, Tensor, list[bytes]] | None = None

    def begin(self) -> None:
        """Other images: forget those before."""
        self.on = True
        self._known, self._new, self._digested = {}, {}, None

    def next_pass(self) -> None:
        """The images so far may come again."""
        self._known |= self._new

    def end(self) -> None:
        """No further pass: nothing is kept."""
        self.begin()
        self.on = False

    def known(self, pixels: Tensor, patch_mask: Tensor) -> list[bool]:
        """Whether, for every image, its global view comes from an earlier pass: all of a batch, or
        none.

        Args:
            pixels: (I, N, S, S, 3), the global view first.
            patch_mask: (I, N, P).
        """
        if not self._known:
            return [False] * len(pixels)
        every = all(key in self._known for key in self._keys(pixels, patch_mask))
        return [every] * len(pixels)

    def encode(
        self, pixels: Tensor, patch_mask: Tensor, received: Tensor | None, whole: Encode
    ) -> Tensor:
        """What `whole` gives, which encodes only what is not known.

        Args:
            pixels: (I, N, S, S, 3), the global view first, whose tokens are all read.
            patch_mask: (I, N, P).
            received: (I, N, K) bool, which tokens are read; None for all.
            whole: Encodes views.
        """
        if not self.on:
            return whole(pixels, patch_mask, received)
        keys = self._keys(pixels, patch_mask)
        if not all(key in self._known for key in keys):
            encoded = whole(pixels, patch_mask, received)
            self._new |= {key: view.clone() for key, view in zip(keys, encoded[:, 0], strict=True)}
            return encoded
        views = torch.stack([self._known[key] for key in keys])
        crops = None if received is None else received[:, 1:]
        return torch.cat([views[:, None], whole(pixels[:, 1:], patch_mask[:, 1:], crops)], dim=1)

    def _keys(self, pixels: Tensor, patch_mask: Tensor) -> list[bytes]:
        """What the global views are known by. The same tensors again, as when a pass follows the
        question what it will reuse, are not digested again.
        """
        last = self._digested
        if last is None or last[0] is not pixels or last[1] is not patch_mask:
            views = zip(pixels[:, 0], patch_mask[:, 0], strict=True)
            last = pixels, patch_mask, [digest(view, mask) for view, mask in views]
            self._digested = last
        return last[2]
