"""Generated pictures and questions whose answers must be read from the picture."""

from tierexp.data.tierqa.dataset import TierQA

__all__ = ["TierQA"]
