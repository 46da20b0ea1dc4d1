"""SparseVLM: "Visual Token Sparsification for Efficient Vision-Language Model Inference"
(2410.04417), the selection of relevant text tokens. Not every token of the question says something
about the image: *raters* are those that the vision tokens take to, by

    r = mean over vision tokens of softmax(H_v H_q^T), r_i >= the mean of r,

the softmax over the question's tokens and H the embeddings that enter the decoder. A vision token's
score is the mean attention that it receives from the raters in an early block.

Only the score is followed: the number kept is the one asked for, not adapted to a matrix's rank,
what leaves is not recycled, and it leaves at one block, where the released code prunes at three (2,
6 and 15 of 32), the first of which is the default. A rater reaches the mean, where the released
code asks for more than it, so that there always is one. Position ids are kept; the released code
counts them anew.
"""

from __future__ import annotations

import torch
from torch import Tensor


def raters(vision: Tensor, question: Tensor) -> Tensor:
    """The question's tokens whose attention counts, at least one.

    Args:
        vision: (N, C), embedded vision tokens of one prompt.
        question: (L, C), its embedded text.

    Returns:
        (L,) bool.
    """
    relevance = (vision.float() @ question.float().mT).softmax(dim=-1).mean(dim=0)
    # Rounding can put the mean of equal numbers above them all.
    return relevance >= torch.minimum(relevance.mean(), relevance.max())
