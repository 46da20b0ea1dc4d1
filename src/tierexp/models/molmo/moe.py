"""A mixture of experts without capacity limits, as in OLMoE and MolmoE-1B.

In: tokens. Out: for each, the sum of its `top_k` experts, weighted with their router
probabilities. Knows nothing about attention or the rest of a block, nor how experts are multiplied.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tierexp.models.molmo.experts import Experts
from tierexp.models.molmo.norm import RMSNorm
from tierexp.models.molmo.sizes import DecoderConfig


def matmul_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype a linear layer would compute in, for products that autocast does not know."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tensor.dtype


class MixtureOfExperts(nn.Module):
    """Router and experts, with the norm and the names of MolmoE's MLP sublayer.

    Args:
        config: Sizes of the decoder; `num_experts` and `top_k` must be set.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        if config.num_experts is None or config.top_k is None:
            raise ValueError("a mixture of experts needs num_experts and top_k")
        self.num_experts = config.num_experts
        self.top_k = config.top_k
        self.norm_after = config.norm_after
        self.ff_norm = RMSNorm(config.width, config.norm_eps)
        self.gate = nn.Linear(config.width, config.num_experts, bias=False)
        self.experts = Experts(config.num_experts, config.width, config.mlp_width)

    def forward(self, x: Tensor, top_k: int | None = None) -> Tensor:
        """What the sublayer adds to the residual stream.

        Args:
            x: (B, T, C).
            top_k: Experts a token visits; None for the configured number.

        Returns:
            (B, T, C).
        """
        mixed = self.mix(x if self.norm_after else self.ff_norm(x), top_k or self.top_k)
        output: Tensor = self.ff_norm(mixed) if self.norm_after else mixed
        return output

    def mix(self, x: Tensor, top_k: int) -> Tensor:
        """Route tokens, (B, T, C), to `top_k` experts each and add up the answers, (B, T, C)."""
        tokens = x.flatten(0, 1).to(matmul_dtype(x))  # (N, C)
        probabilities = self.gate(tokens).softmax(dim=-1, dtype=torch.float32)  # (N, E)
        # The kept probabilities are not rescaled to sum to one: Molmo was trained so.
        weights, experts = probabilities.topk(top_k, dim=-1)  # (N, k)
        mixed: Tensor = self.experts(tokens, experts, weights)
        return mixed.to(x.dtype).view_as(x)
