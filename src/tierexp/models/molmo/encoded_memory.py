"""Encoded images, kept for the next run of a sweep: runs that differ in what happens behind the
encoder need not encode the same crops again.

In: a batch's crops. Out: what was encoded from exactly these before, bit by bit. A batch is known
by a digest of its pixels; what does not fit any more is not kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from tierexp.models.molmo.vision_backbone import Encoded


class EncodedMemory:
    """What one model's encoder has said of images.

    Args:
        capacity: Most bytes that are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.num_bytes = 0
        self._kept: dict[bytes, Encoded] = {}

    def recall(self, pixels: Tensor, patch_mask: Tensor, encode: Callable[[], Encoded]) -> Encoded:
        """What `encode` gives for a batch, from memory where it has been asked before.

        Args:
            pixels: As of `VisionBackbone.encode`.
            patch_mask: As of `VisionBackbone.encode`.
            encode: Asked where the batch is not known.
        """
        key = digest(pixels, patch_mask)
        known = self._kept.get(key)
        if known is not None:
            return known
        encoded = encode()
        size = sum(
            t.nbytes for t in (encoded.features, encoded.scores, encoded.keys) if t is not None
        )
        if self.num_bytes + size <= self.capacity:
            self._kept[key] = encoded
            self.num_bytes += size
        return encoded


def digest(*tensors: Tensor) -> bytes:
    """Digest of the shapes, dtypes and bytes of tensors: equal for equal ones."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        # As bytes, since NumPy does not know every dtype.
        content = tensor.detach().cpu().contiguous().view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.digest()
