"""The mixture of experts beside the usual loop over experts; and what decoding one token costs.

Run `python benchmarks/moe.py`. The loop is written out as in OLMoE's and Mixtral's published code:
every expert picks its tokens, answers, and adds what it answers to the sum. Beside it stands a
tighter one that multiplies by the gate and up matrices at once. Prompts are the inner work of one
block: 1,000 tokens, 64 experts, of which a token visits 2 as in `model=tiny` or 8 as in MolmoE-1B.
Times are medians of alternating turns; MolmoE-1B's width needs 2 GB of memory.
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
    "tiny": replace(TINY, num_experts=64, top_k=2),
    "MolmoE-1B": replace(TINY, num_experts=64, top_k=8, width=2048, mlp_width=1024),
}
TOKENS, TURNS = 1000, 9


def layer(config: DecoderConfig) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return made.eval()


def published_experts(
    tokens: Tensor, scores: Tensor, gate_up: Tensor, down: Tensor, top_k: int
) -> Tensor:
    """Every expert picks its tokens, as in OLMoE's published code.

    Args:
        tokens: (T, C).
        scores: (T, experts) of the router, before the softmax.
        gate_up: (experts, 2 x inner width, C).
        down: (experts, C, inner width).
        top_k: Experts a token.
    """
    probabilities = F.softmax(scores, dim=1, dtype=torch.float32)
    weights, chosen = probabilities.topk(top_k, dim=-1)
    weights, total = weights.to(tokens.dtype), torch.zeros_like(tokens)
    mask = F.one_hot(chosen, len(down)).permute(2, 1, 0)
    for expert in range(len(down)):
        place, rows = torch.where(mask[expert])
        mine = tokens[rows]
        gate, up = gate_up[expert].chunk(2)
        inner = F.silu(F.linear(mine, gate)) * F.linear(mine, up)
        total.index_add_(0, rows, F.linear(inner, down[expert]) * weights[rows, place, None])
    return total


def loop_over_experts(moe: MixtureOfExperts, x: Tensor, top_k: int) -> Tensor:
    tokens, experts = x.flatten(0, 1), moe.experts
    made = published_experts(
        tokens, moe.gate(tokens), experts.gate_up_proj, experts.down_proj, top_k
    )
    return made.view_as(x)


def tighter_loop(moe: MixtureOfExperts, x: Tensor, top_k: int) -> Tensor:
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
    print(
        f"{'prompt':10} {'k':>2} {'threads':>7} {'loop':>10} {'tighter':>10} {'grouped':>10}"
        f" {'loop / grouped':>15} {'largest difference':>19}"
    )
    all_threads = torch.get_num_threads()
    for name, top_k in (("tiny", 2), ("tiny", 8), ("MolmoE-1B", 8)):
        moe, x = layer(SIZES[name]), torch.randn(1, TOKENS, SIZES[name].width)
        expected = loop_over_experts(moe, x, top_k)
        for threads in sorted({1, all_threads}):
            torch.set_num_threads(threads)
            difference = (moe.mix(x, top_k) - expected).abs().max() / expected.abs().max()
            assert difference < 1e-5
            loop, tighter, grouped = milliseconds(
                [
                    lambda: loop_over_experts(moe, x, top_k),
                    lambda: tighter_loop(moe, x, top_k),
                    lambda: moe.mix(x, top_k),
                ]
            )
            print(
                f"{name:10} {top_k:2} {threads:7} {loop:7.2f} ms {tighter:7.2f} ms"
                f" {grouped:7.2f} ms {loop / grouped:15.2f} {float(difference):19.1e}"
            )
    torch.set_num_threads(all_threads)


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
