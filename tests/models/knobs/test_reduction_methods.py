"""Every method of reduction against a plain loop written from its paper's equation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tierexp.models.knobs.reduction.cls_attention import class_attention, patches_as_tokens
from tierexp.models.knobs.reduction.diverse import diverse_places
from tierexp.models.knobs.reduction.fastv import attention_weights, received
from tierexp.models.knobs.reduction.kept import highest
from tierexp.models.knobs.reduction.merge import merged
from tierexp.models.knobs.reduction.pool import cells, divided, pooled
from tierexp.models.knobs.reduction.random import random_places
from tierexp.models.knobs.reduction.stride import strided_places
from tierexp.models.knobs.reduction.text import raters
from tierexp.models.knobs.reduction.vision_zip import dominant_and_contextual


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> float:
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))


def mean_of(vectors: list[Tensor]) -> Tensor:
    return torch.stack(vectors).mean(dim=0)


# Those that look at nothing


@pytest.mark.parametrize(("total", "count"), [(7, 3), (10, 10), (1213, 357), (5, 1)])
def test_a_stride_takes_the_middle_of_equal_parts(total: int, count: int) -> None:
    expected = [int((i + 0.5) * total / count) for i in range(count)]
    assert strided_places(total, count).tolist() == expected
    assert len({*expected}) == count


def test_every_subset_of_random_tokens_is_equally_likely() -> None:
    drawn_subsets = [tuple(random_places(5, 2, seed).tolist()) for seed in range(5000)]
    subsets = {(a, b) for a in range(5) for b in range(a + 1, 5)}
    counts = {subset: drawn_subsets.count(subset) for subset in subsets}
    assert sum(counts.values()) == 5000
    # Five standard deviations of a share of 1 in 10.
    assert all(abs(n - 500) < 5 * math.sqrt(5000 * 0.09) for n in counts.values())
    assert random_places(50, 9, 3).tolist() == random_places(50, 9, 3).tolist()


def test_a_number_that_divides_the_grid_is_average_pooling() -> None:
    tokens = drawn(0, 1, 3, 8, 12)  # channels before the grid, as pooling takes it
    expected = torch.nn.functional.avg_pool2d(tokens, 2)[0].flatten(1).T
    kept = pooled(tokens[0].flatten(1).T, [(8, 12)], 24)
    assert torch.allclose(kept.tokens, expected, atol=1e-6)
    assert kept.places.tolist() == [24 * row + 2 * col for row in range(4) for col in range(6)]


@pytest.mark.parametrize("count", [1, 2, 5, 13, 35, 59, 95, 96])
def test_cells_are_as_many_as_asked_rectangular_and_alike(count: int) -> None:
    rows, cols = 8, 12
    owner = cells(rows, cols, count).view(rows, cols)
    assert owner.unique().tolist() == list(range(count))
    sizes = []
    for cell in range(count):
        where = (owner == cell).nonzero()
        (top, left), (bottom, right) = where.amin(0).tolist(), where.amax(0).tolist()
        assert len(where) == (bottom - top + 1) * (right - left + 1)
        sizes.append(len(where))
    assert max(sizes) <= 4 * min(sizes)


@pytest.mark.parametrize("count", [2, 11, 90, 143, 144])
def test_pooling_several_grids_keeps_what_was_asked_and_every_cell_is_a_mean(count: int) -> None:
    grids = [(6, 6), (9, 12)]
    tokens = drawn(1, 144, 5)
    kept = pooled(tokens, grids, count)
    assert kept.tokens.shape == (count, 5)
    assert kept.places.tolist() == sorted(kept.places.tolist())
    first, second = divided(count, [36, 108])
    assert abs(first - count / 4) <= 1
    assert first + second == count
    owner = [*cells(6, 6, first).tolist(), *(first + cells(9, 12, second)).tolist()]
    for place, token in zip(kept.places.tolist(), kept.tokens, strict=True):
        members = [i for i, cell in enumerate(owner) if cell == owner[place]]
        assert place == members[0]
        assert torch.allclose(token, mean_of([tokens[i] for i in members]), atol=1e-6)


# FasterVLM (2412.01818)


def test_the_class_tokens_attention_is_the_mean_softmax_of_heads() -> None:
    views, heads, patches, width = 2, 3, 6, 4
    query, keys = drawn(2, views, heads, width), drawn(3, views, heads, 1 + patches, width)
    weights = class_attention(query, keys)
    for view in range(views):
        for patch in range(patches):
            of_heads = []
            for head in range(heads):
                scores = [
                    sum(float(query[view, head, d] * keys[view, head, t, d]) for d in range(width))
                    / math.sqrt(width)
                    for t in range(1 + patches)
                ]
                total = sum(math.exp(score) for score in scores)
                of_heads.append(math.exp(scores[1 + patch]) / total)
            expected = sum(of_heads) / heads
            assert float(weights[view, patch]) == pytest.approx(expected, abs=1e-6)


def test_a_window_over_the_edge_has_the_mean_of_what_exists() -> None:
    of_patches = torch.arange(9.0).view(1, 9)  # 3 x 3, windows of 2 x 2
    expected = [(0 + 1 + 3 + 4) / 4, (2 + 5) / 2, (6 + 7) / 2, 8.0]
    assert patches_as_tokens(of_patches, 3, (2, 2)).tolist() == [expected]


def test_of_equal_scores_the_earlier_are_taken() -> None:
    assert highest(torch.tensor([1.0, 2, 1, 2, 1, 2]), 4).tolist() == [0, 1, 3, 5]


# VisionZip (2412.04467)


@pytest.mark.parametrize(("count", "share"), [(12, 10 / 64), (20, 0.5), (7, 0.0), (1, 0.9)])
def test_vision_zip_is_dominant_tokens_and_means_of_the_rest(count: int, share: float) -> None:
    total = 30
    tokens, scores, keys = drawn(4, total, 6), drawn(5, total), drawn(6, total, 4)
    kept = dominant_and_contextual(tokens, scores, keys, count, share)
    targets = int(share * count + 0.5)
    ranked = sorted(range(total), key=lambda i: -float(scores[i]))
    expected = {i: tokens[i] for i in ranked[: count - targets]}
    rest = sorted(ranked[count - targets :])
    chosen = [rest[int((i + 0.5) * len(rest) / targets)] for i in range(targets)]
    groups: dict[int, list[int]] = {target: [target] for target in chosen}
    for other in rest:
        if other not in groups and chosen:
            nearest = max(chosen, key=lambda target: cosine(keys[other], keys[target]))
            groups[nearest].append(other)
    expected |= {target: mean_of([tokens[i] for i in group]) for target, group in groups.items()}
    assert kept.places.tolist() == sorted(expected)
    assert len(expected) == count
    for place, token in zip(kept.places.tolist(), kept.tokens, strict=True):
        assert torch.allclose(token, expected[place], atol=1e-6)


# ToMe (2210.09461), section 3


def merged_by_loops(tokens: Tensor, keys: Tensor, count: int) -> list[tuple[int, Tensor, float]]:
    every = [(i, tokens[i], keys[i], 1.0) for i in range(len(tokens))]
    while len(every) > count:
        ties = min(len(every) - count, len(every) // 2)
        a, b = range(0, len(every), 2), range(1, len(every), 2)
        edges = []
        for i in a:
            best = max(b, key=lambda j: cosine(every[i][2], every[j][2]))
            edges.append((cosine(every[i][2], every[best][2]), i, best))
        strongest = sorted(edges, key=lambda edge: -edge[0])[:ties]
        joined: dict[int, list[int]] = {}
        for _, i, j in strongest:
            joined.setdefault(j, [j]).append(i)
        gone = {i for _, i, _ in strongest}
        after = []
        for i, token in enumerate(every):
            if i in gone:
                continue
            group = [every[j] for j in joined.get(i, [i])]
            size = sum(s for *_, s in group)
            mean_token = torch.stack([t * s for _, t, _, s in group]).sum(0) / size
            mean_key = torch.stack([k * s for _, _, k, s in group]).sum(0) / size
            after.append((token[0], mean_token, mean_key, size))
        every = after
    return [(place, token, size) for place, token, _, size in every]


@pytest.mark.parametrize("count", [1, 3, 8, 11, 16, 20, 21])
def test_merging_is_bipartite_soft_matching_in_rounds(count: int) -> None:
    tokens, keys = drawn(7, 21, 5), drawn(8, 21, 3)
    kept = merged(tokens, keys, count)
    expected = merged_by_loops(tokens, keys, count)
    assert kept.places.tolist() == [place for place, _, _ in expected]
    assert kept.sizes is not None
    assert kept.sizes.tolist() == [size for _, _, size in expected]
    assert kept.sizes.sum() == 21
    assert len(kept.places) == count
    assert torch.allclose(kept.tokens, torch.stack([t for _, t, _ in expected]), atol=1e-5)


# DivPrune (2503.02175)


@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_diverse_tokens_are_the_greedy_choice_of_max_min_distance(count: int) -> None:
    tokens = drawn(9, 17, 4)
    distance = [[1 - cosine(a, b) for b in tokens] for a in tokens]
    every = range(len(tokens))
    chosen = [max(every, key=lambda i: min(distance[i][j] for j in every if j != i))]
    while len(chosen) < count:
        left = [i for i in every if i not in chosen]
        chosen.append(max(left, key=lambda i: min(distance[i][j] for j in chosen)))
    assert diverse_places(tokens, count).tolist() == chosen


def test_equal_tokens_are_never_taken_twice() -> None:
    tokens = torch.ones(6, 3)
    assert sorted(diverse_places(tokens, 6).tolist()) == list(range(6))


# FastV (2403.06764), section 4.1


@pytest.mark.parametrize("asking", [[5], [0, 1, 2, 3, 4, 5], [2, 4]])
def test_attention_received_is_the_mean_over_heads_and_askers(asking: list[int]) -> None:
    heads, tokens, width = 4, 6, 3
    queries, keys = drawn(10, 1, heads, tokens, width), drawn(11, 1, 2, tokens, width)
    sees = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None]
    asks = torch.zeros(1, tokens, dtype=torch.bool)
    asks[0, asking] = True
    found = received(attention_weights(queries, keys, sees), asks)[0]
    for token in range(tokens):
        total = 0.0
        for asker in asking:
            for head in range(heads):
                scores = [
                    float(queries[0, head, asker] @ keys[0, head // 2, seen]) / math.sqrt(width)
                    for seen in range(asker + 1)
                ]
                if token <= asker:
                    weight = math.exp(scores[token]) / sum(math.exp(score) for score in scores)
                    total += weight / heads
        assert float(found[token]) == pytest.approx(total / len(asking), abs=1e-6)


# SparseVLM (2410.04417)


def test_raters_are_what_vision_tokens_take_to_more_than_on_average() -> None:
    vision, question = drawn(12, 9, 4), drawn(13, 6, 4)
    relevance = [0.0] * len(question)
    for seen in vision:
        scores = [float(seen @ word) for word in question]
        total = sum(math.exp(score) for score in scores)
        for i, score in enumerate(scores):
            relevance[i] += math.exp(score) / total / len(vision)
    mean = sum(relevance) / len(relevance)
    assert raters(vision, question).tolist() == [r >= mean for r in relevance]


def test_a_question_of_equal_tokens_has_raters() -> None:
    assert raters(drawn(14, 5, 3), torch.ones(7, 3)).any()
