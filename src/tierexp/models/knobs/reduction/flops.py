"""What comparing vision tokens costs, for methods that decide before the decoder, in any model.
Matrix products, two operations for a multiplication and its addition. Imports no torch.
"""

from __future__ import annotations

from tierexp.models.knobs.reduction.settings import Reduction, VisionZip


def comparing_flops(reduction: Reduction, found: int, width: int, key_width: int = 0) -> int:
    """Operations of deciding about one prompt's vision tokens; 0 where none leaves.

    Args:
        reduction: Any; one that works in the decoder compares nothing here.
        found: Vision tokens.
        width: Width of a token, as the language model receives it.
        key_width: Width of an encoder's key, the mean over heads; where a method looks at keys.
    """
    kept = reduction.count(found)
    if kept == found:
        return 0
    match reduction.method:
        case "diverse":
            return 2 * found * found * width
        case "vision_zip":
            assert isinstance(reduction, VisionZip)
            targets = int(reduction.contextual * kept + 0.5)
            return 2 * targets * (found - kept) * key_width
        case "merge":
            cost, left = 0, found
            while left > kept:
                cost += 2 * ((left + 1) // 2) * (left // 2) * key_width
                left -= min(left - kept, left // 2)
            return cost
        case _:
            return 0
