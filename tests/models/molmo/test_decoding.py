"""Decoding as a GPU wants it, against decoding as it is: nothing asked of the device between
tokens, heads that share keys as queries of one head, and a cache of fixed size.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.support.molmo_models import (
    KINDS,
    prompt,
    sharing,
    small_config,
    small_engine,
)
from tierexp.errors import ConfigError
from tierexp.models.confidence import Unobserved
from tierexp.models.molmo import generation
from tierexp.models.molmo.attention import attend, attend_as_groups
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.ended import EndWatch, until_all_ended
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.experts import Experts
from tierexp.models.molmo.fixed_decoding import KEPT, FixedDecoders
from tierexp.models.molmo.generation import GrowingSteps
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.prefill import Prefilled

LENGTHS = [14, 10, 12]
BATCHES: dict[str, Callable[[], ModelInputs]] = {
    "padded": lambda: prompt(LENGTHS),
    "unpadded": lambda: prompt([12, 12]),
    "shared": lambda: sharing([14, 10, 12], [0, 0, 1], [0, 0]),
}


@pytest.fixture(autouse=True)
def _whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch in parts: what is compared are the logits of all rows."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


class Watcher(Unobserved):
    def __init__(self) -> None:
        self.logits: list[Tensor] = []

    def chosen(self, logits: Tensor, tokens: Tensor, going_on: Tensor | None) -> None:
        self.logits.append(logits)


def answers(model: MolmoEngine, inputs: ModelInputs) -> tuple[Tensor, Tensor]:
    watcher = Watcher()
    return model.generate(inputs, 6, observer=watcher), torch.stack(watcher.logits)


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_heads_that_share_keys_are_queries_of_one_head(
    queries: int, kind: str, kv_heads: int
) -> None:
    draw = torch.Generator().manual_seed(queries)
    q, k, v = (
        torch.randn(3, heads, length, 6, dtype=torch.float64, generator=draw)
        for heads, length in ((6, queries), (kv_heads, 9), (kv_heads, 9))
    )
    mask = torch.rand(3, 1, queries, 9, generator=draw) < 0.6
    mask[..., -1] = True
    if kind == "float":
        weights = torch.randn(3, 1, queries, 9, dtype=q.dtype, generator=draw)
        mask = weights.masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(attend_as_groups(q, k, v, mask), attend(q, k, v, mask))


def test_a_host_that_runs_ahead_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = small_engine("dense"), prompt(LENGTHS)
    free = model.generate(inputs, 6)
    lengths = set()
    for end in free.unique().tolist():
        model.end_of_text_id = end
        expected = model.generate(inputs, 6)
        lengths.add(expected.shape[1])
        for behind in (1, 3, 10):
            with monkeypatch.context() as patch:
                patch.setattr(generation, "EndWatch", lambda _, behind=behind: EndWatch(behind))
                assert model.generate(inputs, 6).tolist() == expected.tolist()
    for row in range(len(free)):  # one whose only answer ends after the first token
        model.end_of_text_id = int(free[row, 0])
        lengths.add(model.generate(inputs.select(range(row, row + 1)), 6).shape[1])
    assert len(lengths) > 1


@pytest.mark.parametrize(
    ("rows", "length"),
    [
        ([[1, 9, 9, 9], [1, 2, 9, 9]], 3),
        ([[9, 9], [9, 9]], 1),
        ([[1, 2, 3], [9, 9, 9]], 3),
        ([[1, 2, 9]], 3),
    ],
)
def test_answers_are_cut_where_the_last_one_ends(rows: list[list[int]], length: int) -> None:
    assert until_all_ended(torch.tensor(rows), 9).tolist() == [row[:length] for row in rows]


@pytest.mark.parametrize("padded", [True, False])
def test_nothing_is_asked_of_the_device_between_tokens(padded: bool) -> None:
    # Fake tensors have no numbers: to ask for one is an error.
    with FakeTensorMode(), torch.inference_mode():
        model = Molmo(small_config("dense"))
        decoder = model.config.decoder
        cache = KeyValueCache(
            decoder, 2, 20, [torch.device("cpu")] * 2, torch.float32, range(decoder.num_layers)
        )
        for block in range(decoder.num_layers):
            new = torch.empty(2, decoder.num_kv_heads, 14, decoder.head_dim)
            cache.extend(block, new, new)
        mask = torch.empty(2, 14, dtype=torch.bool) if padded else None
        prompts = Prefilled(torch.empty(2, decoder.vocab_size), cache, mask)
        step = GrowingSteps(model, prompts, 6, DecoderKnobs(tuple(range(decoder.num_layers)), None))
        token, watch = prompts.logits.argmax(dim=-1), EndWatch(9)
        for _ in range(5):
            token = step(token).argmax(dim=-1)
            assert not watch.all_ended(token == 1)
        with pytest.raises(DataDependentOutputException):
            EndWatch(0).all_ended(token == 1)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_of_fixed_size_gives_the_same_answers(kind: str, batch: str) -> None:
    model, inputs = small_engine(kind), BATCHES[batch]()
    model.run_blocks([1])
    alone = answers(model, inputs)
    model.run_blocks(range(2))
    expected, logits = answers(model, inputs)
    model.fixed_decoders = FixedDecoders(model.network)
    for _ in range(2):  # the second time with what the first has left behind
        generated, fixed = answers(model, inputs)
        assert generated.tolist() == expected.tolist()
        torch.testing.assert_close(fixed, logits, rtol=1e-4, atol=1e-5)
        answers(model, BATCHES["padded"]())
    model.run_blocks([1])
    torch.testing.assert_close(answers(model, inputs), alone, rtol=1e-4, atol=1e-5)


def test_only_the_last_recordings_are_kept() -> None:
    model = small_engine("dense")
    model.fixed_decoders = FixedDecoders(model.network)
    for rows in range(1, KEPT + 3):
        model.generate(prompt([12] * rows), 3)
    kept = [kind.batch_size for kind in model.fixed_decoders._kept]
    assert kept == list(range(3, KEPT + 3))


def test_graphs_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match="cuda_graphs=True is not possible: false on this device"):
        small_engine("dense").decode_in_graphs(True)


@pytest.mark.parametrize(
    ("kind", "dtype", "capability", "possible"),
    [
        ("mixture", torch.bfloat16, (9, 0), True),
        ("mixture", torch.bfloat16, (10, 0), True),
        ("mixture", torch.bfloat16, (8, 0), False),
        ("mixture", torch.float16, (9, 0), False),
        ("dense", torch.float16, (8, 0), True),
    ],
)
def test_graphs_are_refused_where_the_product_of_experts_waits(
    kind: str,
    dtype: torch.dtype,
    capability: tuple[int, int],
    possible: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with torch.device("meta"):
        network = Molmo(small_config(kind, mlp_width=16, width=16)).to(dtype)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = MolmoEngine(network.to_empty(device="cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    if possible:
        model.decode_in_graphs(True)
        assert model.fixed_decoders is not None
    else:
        with pytest.raises(ConfigError, match=r"cuda_graphs=True .* Hopper"):
            model.decode_in_graphs(True)


@pytest.mark.parametrize(
    ("width", "hidden", "dtype", "fits"),
    [
        (16, 8, torch.bfloat16, True),
        (16, 12, torch.bfloat16, False),
        (12, 16, torch.bfloat16, False),
        (12, 16, torch.float32, True),
        (10, 16, torch.float32, False),
    ],
)
def test_widths_of_the_grouped_product(
    width: int, hidden: int, dtype: torch.dtype, fits: bool
) -> None:
    assert Experts(2, width, hidden).grouped_product_fits(dtype) is fits


def test_released_widths_fit_the_grouped_product() -> None:
    with torch.device("meta"):
        assert Experts(64, 2048, 1024).grouped_product_fits(torch.bfloat16)
