"""The mixture of experts beside a loop over experts; and what decoding one token costs.

Run `python benchmarks/moe.py`. The loop is the plain implementation: every expert picks its tokens,
answers, and adds what it answers to the sum. Times are medians of alternating turns, on as many
threads as torch takes; MolmoE-1B's width needs 2 GB of memory. Prompts are the inner work of one
block: 1,000 tokens, 64 experts, 8 of them per token.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import tierexp
from tierexp.models.molmo.config import read_config
from tierexp.models.molmo.moe import MixtureOfExperts
from tierexp.models.molmo.sizes import DecoderConfig

TINY = read_config(Path(tierexp.__file__).parent / "assets" / "tiny").decoder
SIZES = {
    "tiny": replace(TINY, num_experts=64, top_k=8),
    "MolmoE-1B": replace(TINY, num_experts=64, top_k=8, width=2048, mlp_width=1024),
}
TOKENS, TURNS = 1000, 9


def layer(config: DecoderConfig) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return made.eval()


def loop_over_experts(moe: MixtureOfExperts, x: Tensor, top_k: int) -> Tensor:
    tokens = x.flatten(0, 1)
    weights, chosen = moe.gate(tokens).softmax(-1).topk(top_k, dim=-1)
    total = torch.zeros_like(tokens)
    for expert in range(moe.num_experts):
        rows, place = torch.where(chosen == expert)
        gate, up = F.linear(tokens[rows], moe.experts.gate_up_proj[expert]).chunk(2, dim=-1)
        answer = F.linear(F.silu(gate) * up, moe.experts.down_proj[expert])
        total.index_add_(0, rows, answer * weights[rows, place, None])
    return total.view_as(x)


def milliseconds(functions: list[Callable[[], object]]) -> list[float]:
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(-2, TURNS):  # the first two warm up
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 0:
                taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken) for taken in times]


def prompts() -> None:
    print(f"{'prompt':12} {'loop':>11} {'grouped':>11} {'ratio':>6} {'largest difference':>19}")
    for name, config in SIZES.items():
        moe, x = layer(config), torch.randn(1, TOKENS, config.width)
        loop, grouped = milliseconds([lambda: loop_over_experts(moe, x, 8), lambda: moe.mix(x, 8)])
        expected = loop_over_experts(moe, x, 8)
        difference = (moe.mix(x, 8) - expected).abs().max() / expected.abs().max()
        print(
            f"{name:12} {loop:8.2f} ms {grouped:8.2f} ms {loop / grouped:6.2f}"
            f" {float(difference):19.1e}"
        )


def decoding() -> None:
    print(f"\n{'one token':12} {'experts':>7} {'k':>3} {'time':>12}")
    for name, config in SIZES.items():
        for num_experts, top_ks in ((64, (1, 2, 4, 8)), (16, (2,)), (8, (2,))):
            moe = layer(replace(config, num_experts=num_experts, top_k=2))
            # Other experts for every token, as in decoding: none is in the cache beforehand.
            tokens = torch.randn(16, 1, 1, config.width)

            def decode(moe: MixtureOfExperts, tokens: Tensor, top_k: int) -> None:
                for token in tokens:
                    moe.mix(token, top_k)

            times = milliseconds([lambda top_k=k: decode(moe, tokens, top_k) for k in top_ks])  # type: ignore[misc]
            for top_k, taken in zip(top_ks, times, strict=True):
                print(f"{name:12} {num_experts:7} {top_k:3} {1e3 * taken / len(tokens):9.0f} µs")


def main() -> None:
    """Print both tables."""
    with torch.inference_mode():
        prompts()
        decoding()


if __name__ == "__main__":
    main()
