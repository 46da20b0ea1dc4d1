"""Whether all answers of a batch have ended, found out without making a device wait.

In: step by step, which rows have ended. Out: whether all had, as of a step that the device has
behind it. A host that asks a GPU about the step it has just given out waits for it, and the GPU
then for the host; asking about an earlier step costs at most as many steps too many, of which
nothing is kept (`until_all_ended`).
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

STEPS_BEHIND = 1
"""On a GPU: enough, since one step is then at work while the next is given out."""


class EndWatch:
    """Whether all answers of one batch have ended.

    Args:
        behind: How many steps ago the answer may be of; 0 on a CPU, which never runs ahead.
    """

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self._told: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def all_ended(self, finished: Tensor) -> bool:
        """Whether all rows had ended `behind` steps ago.

        Args:
            finished: (B,) bool, as of this step.
        """
        flag = finished.all()
        if self.behind == 0:
            return bool(flag)
        event = None
        if flag.device.type == "cuda":
            flag = flag.to("cpu", non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._told.append((flag, event))
        if len(self._told) <= self.behind:
            return False
        flag, event = self._told.popleft()
        if event is not None:
            event.synchronize()
        return bool(flag)


def until_all_ended(answers: Tensor, end_of_text_id: int) -> Tensor:
    """The columns up to the first at which every row has ended, all of them where none is.

    Args:
        answers: (B, L) int64.
        end_of_text_id: Ends an answer.
    """
    ended = (answers == end_of_text_id).cumsum(dim=1).bool().all(dim=0)  # (L,)
    running = int((~ended).sum())
    return answers[:, : running + 1]
