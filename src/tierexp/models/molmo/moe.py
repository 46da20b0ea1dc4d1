"""A mixture of experts without capacity limits, as in OLMoE and MolmoE-1B.

In: tokens. Out: for each, the sum of its `top_k` experts, weighted with their router
probabilities. Tokens are sorted by expert and multiplied in groups, so that the cost follows
`top_k` and not the number of experts. Knows nothing about attention or the rest of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tierexp.models.molmo.norm import RMSNorm
from tierexp.models.molmo.sizes import DecoderConfig

FEW = 64
"""Rows, a token's experts counted apart, up to which a loop over the experts that have some is
faster on a CPU: torch's grouped product there visits all of them."""


def matmul_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype a linear layer would compute in, for products that autocast does not know."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tensor.dtype


class Experts(nn.Module):
    """The experts' weights, stacked: gated linear units `down(silu(gate x) · up x)`.

    Args:
        num_experts: How many.
        width: Channels of a token.
        hidden_width: Channels inside an expert.
    """

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(num_experts, 2 * hidden_width, width))
        self.down_proj = nn.Parameter(torch.empty(num_experts, width, hidden_width))

    def forward(self, tokens: Tensor, group_ends: Tensor) -> Tensor:
        """Send every group of tokens through its own expert.

        Args:
            tokens: (M, C), the tokens of expert 0 first.
            group_ends: (num_experts,) int32: where each expert's tokens end.

        Returns:
            (M, C).
        """
        dtype = tokens.dtype
        few = len(tokens) <= FEW and tokens.device.type == "cpu" and not torch.is_grad_enabled()
        if few and self.gate_up_proj.dtype == dtype:
            return self._one_by_one(tokens, group_ends)
        gate_up, down = (w.to(dtype).mT for w in (self.gate_up_proj, self.down_proj))
        gate, up = F.grouped_mm(tokens, gate_up, offs=group_ends).chunk(2, dim=-1)  # (M, H) each
        return F.grouped_mm(F.silu(gate) * up, down, offs=group_ends)

    def _one_by_one(self, tokens: Tensor, group_ends: Tensor) -> Tensor:
        """The same; experts without a token cost nothing."""
        answers, start = [], 0
        for expert, end in enumerate(group_ends.tolist()):
            if end > start:
                gate, up = F.linear(tokens[start:end], self.gate_up_proj[expert]).chunk(2, dim=-1)
                answers.append(F.linear(F.silu(gate) * up, self.down_proj[expert]))
                start = end
        return torch.cat(answers)


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

        assigned = experts.flatten()  # (N k,)
        order = assigned.argsort(stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        group_ends = torch.searchsorted(
            assigned[order], torch.arange(self.num_experts, device=order.device), right=True
        ).to(torch.int32)
        answers = self.experts(tokens.index_select(0, order // top_k), group_ends)  # (N k, C)
        answers = answers.index_select(0, place).unflatten(0, (-1, top_k))  # (N, k, C)
        mixed = torch.bmm(weights.to(answers.dtype).unsqueeze(1), answers).squeeze(1)  # (N, C)
        return mixed.to(x.dtype).view_as(x)
