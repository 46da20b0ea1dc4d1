"""The geometry of Molmo2, which pools what it has put together: a token may show two crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.tiers.geometry import CropGeometry


@dataclass(frozen=True)
class PooledCanvas(CropGeometry):
    """Crops whose patches are pooled once they are put back together, so that a pooling window may
    reach over two of them.
    """

    @override
    def token_places(self, count: int, axis: int) -> NDArray[np.int64]:
        """The place of the token that each patch is pooled into, (count, patches of a crop)
        along one axis; -1 where a neighbouring crop has the patch.

        Args:
            count: Crops along the axis.
            axis: 0 for rows, 1 for columns.
        """
        places = np.full((count, self.patches_per_side), -1, np.int64)
        for crop in range(count):
            start, stop = self.kept_patches(crop, count)
            patches = crop * self.window_patches + np.arange(start, stop)
            places[crop, start:stop] = patches // self.pooling[axis]
        return places
