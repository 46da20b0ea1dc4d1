"""Attention, positions and masks against their definitions, written out in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tierexp.models.molmo.attention import attend
from tierexp.models.molmo.attention_in_parts import parts_of
from tierexp.models.molmo.masks import causal_mask, token_positions
from tierexp.models.molmo.rotary import rotary_angles, rotate


def attention_by_definition(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    out = torch.empty(*q.shape[:3], v.shape[-1], dtype=q.dtype)
    shared_by = q.shape[1] // k.shape[1]
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for i in range(q.shape[2]):
                keys = [j for j in range(k.shape[2]) if visible[b, i, j]]
                scores = torch.stack([q[b, h, i] @ k[b, h // shared_by, j] for j in keys])
                weights = (scores / math.sqrt(q.shape[-1])).exp()
                values = torch.stack([v[b, h // shared_by, j] for j in keys])
                out[b, h, i] = (weights / weights.sum()) @ values
    return out


def heads(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("kind", ["causal", "bool", "float", "all"])
def test_grouped_query_attention(kv_heads: int, kind: str) -> None:
    q, k, v = (heads(2, n, 5, 6, seed=n + i) for i, n in enumerate((4, kv_heads, kv_heads)))
    visible = torch.ones(2, 5, 5, dtype=torch.bool)
    if kind != "all":
        visible = visible.tril()
    if kind in ("bool", "float"):
        visible[1, 3:, 1] = False
    mask = visible[:, None] if kind == "bool" else None
    if kind == "float":
        mask = torch.zeros(2, 1, 5, 5, dtype=q.dtype).masked_fill(~visible[:, None], -torch.inf)
    actual = attend(q, k, v, mask, causal=kind == "causal")
    torch.testing.assert_close(actual, attention_by_definition(q, k, v, visible))


@pytest.mark.parametrize("tokens", [97, 192, 193, 419])
def test_causal_attention_in_parts(tokens: int) -> None:
    q, k, v = (heads(2, 3, tokens, 8, seed=i, dtype=torch.float32) for i in range(3))
    visible = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    scores = (q @ k.mT / math.sqrt(8)).masked_fill(~visible, -torch.inf)
    with torch.inference_mode():
        actual = attend(q, k, v, causal=True)
    torch.testing.assert_close(actual, scores.softmax(dim=-1) @ v)


@pytest.mark.parametrize("kind", ["causal", "bool", "float", "all"])
def test_training_in_bfloat16_on_a_cpu_computes_the_same(kind: str) -> None:
    tensors = [heads(1, n, 7, 8, seed=i, dtype=torch.bfloat16) for i, n in enumerate((4, 2, 2))]
    visible = torch.ones(7, 7, dtype=torch.bool).tril()
    masks = {"bool": visible, "float": torch.zeros(7, 7).masked_fill(~visible, -1e4).bfloat16()}
    results = []
    for dtype in (torch.bfloat16, torch.float64):
        inputs = [t.detach().to(dtype).requires_grad_() for t in tensors]
        mask = masks.get(kind)
        if mask is not None and mask.is_floating_point():
            mask = mask.to(dtype)
        out = attend(*inputs, mask, causal=kind == "causal")
        out.square().sum().backward()
        results.append([out, *(t.grad for t in inputs)])
    for narrow, wide in zip(*results, strict=True):
        torch.testing.assert_close(narrow.double(), wide, rtol=0.05, atol=0.05)


def packed(length: int, image: int, question: int) -> Tensor:
    """(T, T) bool: an image that all see, and questions that see it and themselves; the last 5
    tokens see themselves alone.
    """
    part = torch.cat([torch.zeros(image), 1 + torch.arange(length - image) // question])
    visible = ((part == 0) | (part == part[:, None])).tril()
    visible[-5:] = visible[:, -5:] = False
    return visible | torch.eye(length, dtype=torch.bool)


@pytest.mark.parametrize(
    "masks",
    [
        None,
        # No multiple of 16, of 64 or of 256; the second row's questions skip many keys.
        [packed(613, 500, 30), packed(613, 70, 30)],
        [packed(64, 20, 11)] * 2,
    ],
)
def test_long_sequences_in_parts_have_the_same_gradients(masks: list[Tensor] | None) -> None:
    mask = None if masks is None else torch.stack(masks)[:, None]
    length = 37 if mask is None else mask.shape[-1]
    batch = 3 if mask is None else 2
    tensors = [heads(batch, 2, length, 8, seed=i, dtype=torch.bfloat16) for i in range(3)]
    weights = heads(batch, 2, length, 8, seed=3)
    results = []
    for dtype in (torch.bfloat16, torch.float64):
        q, k, v = inputs = [t.detach().to(dtype).requires_grad_() for t in tensors]
        if dtype == torch.bfloat16:
            out = attend(q, k, v, mask)
        else:
            scores = q @ k.mT / math.sqrt(8)
            out = (scores if mask is None else scores.where(mask, -torch.inf)).softmax(-1) @ v
        (out * weights.to(dtype)).sum().backward()
        results.append([out, *(t.grad for t in inputs)])
    for narrow, wide in zip(*results, strict=True):
        # Of numbers that are rounded to 8 bits some six times.
        assert (narrow - wide).norm() < 0.012 * wide.norm()


def test_a_frozen_part_of_a_training_attends_as_the_trained_ones() -> None:
    q, k, v = (heads(2, 2, 37, 8, seed=i, dtype=torch.bfloat16) for i in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        trained = attend(*(t.clone().requires_grad_() for t in (q, k, v)))
        with torch.no_grad():
            frozen = attend(q, k, v)
    assert torch.equal(frozen, trained)
    # Answers outside of training are those of the fused kernel.
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.equal(attend(q, k, v), fused)
    assert not torch.equal(frozen, fused)


def test_keys_that_nobody_looks_at_are_not_multiplied() -> None:
    mask = packed(1024, 128, 32)[None, None]
    parts = parts_of(torch.Size([1, 2, 1024, 8]), mask, torch.bfloat16)
    multiplied = torch.zeros(1024, 1024, dtype=torch.bool)
    for part in parts:
        everything = torch.arange(1024)
        multiplied[part.queries.start : part.queries.stop, everything[part.keys]] = True
    assert bool((multiplied | ~mask[0, 0]).all())
    assert multiplied.float().mean() < 0.45


def test_rotary_embedding_is_a_rotation_of_channel_pairs() -> None:
    x = heads(1, 1, 4, 6, seed=0)
    positions = torch.tensor([[0, 1, 5, 900]])
    rotated = rotate(x.float(), rotary_angles(positions, head_dim=6, theta=100.0))
    for t, position in enumerate(positions[0].tolist()):
        for i in range(3):
            pair = complex(x[0, 0, t, i], x[0, 0, t, i + 3])
            turn = position * 100.0 ** (-i / 3)
            expected = pair * complex(math.cos(turn), math.sin(turn))
            actual = complex(rotated[0, 0, t, i], rotated[0, 0, t, i + 3])
            assert actual == pytest.approx(expected, abs=1e-3)


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = heads(1, 1, 1, 8, seed=1).float(), heads(1, 1, 1, 8, seed=2).float()

    def score(query_at: int, key_at: int) -> float:
        angles = [rotary_angles(torch.tensor([[at]]), 8, 1e4) for at in (query_at, key_at)]
        return float((rotate(q, angles[0]) * rotate(k, angles[1])).sum())

    assert score(7, 3) == pytest.approx(score(104, 100), abs=1e-4)


def test_rotary_angles_stay_exact_for_narrow_inputs() -> None:
    x = heads(1, 1, 1, 4, seed=3).bfloat16()
    angles = rotary_angles(torch.tensor([[1999]]), 4, 1e6)
    assert rotate(x, angles).dtype == torch.bfloat16
    torch.testing.assert_close(
        rotate(x, angles).float(), rotate(x.float(), angles), rtol=2**-8, atol=0
    )


def test_positions_count_from_the_first_real_token() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool)
    assert token_positions(mask).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("queries", [1, 3, 5])
def test_causal_mask(queries: int) -> None:
    real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool)
    mask = causal_mask(real, queries)
    assert mask.shape == (2, 1, queries, 5)
    for b in range(2):
        for row, i in enumerate(range(5 - queries, 5)):
            for j in range(5):
                expected = i == j or (j < i and bool(real[b, j]))
                assert bool(mask[b, 0, row, j]) == expected
