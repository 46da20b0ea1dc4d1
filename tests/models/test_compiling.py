"""Compiled vision encoding: the same features, one compilation, and a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.molmo_models import prompt, small_engine
from tierexp.errors import ConfigError
from tierexp.models.compiling import check_compile
from tierexp.models.molmo.engine import MolmoEngine

SHAPES = [(1, 2), (3, 2), (2, 9), (1, 4), (1, 16)]  # images, crops


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every graph that torch.compile hands to its compiler, which runs it as it is."""
    graphs: list[object] = []

    def keep(graph: torch.fx.GraphModule, _: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=keep))
    return graphs


def crops(images: int, views: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(views)
    pixels = torch.randint(256, (images, views, 56, 56, 3), generator=generator).to(torch.uint8)
    return pixels, torch.randint(3, (images, views, 16), generator=generator) / 2


@torch.inference_mode()
def assert_same_features(model: MolmoEngine) -> None:
    for shape in SHAPES:
        model.compile_vision(False)
        expected = model.vision_features(*crops(*shape))
        model.compile_vision(True)
        features = model.vision_features(*crops(*shape))
        assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


def test_one_compilation_serves_every_number_of_images_and_crops(
    compilations: list[object],
) -> None:
    assert_same_features(small_engine("mixture"))
    assert len(compilations) == 1


@pytest.mark.usefixtures("compilations")
def test_weights_keep_their_names() -> None:
    model = small_engine("mixture")
    names = list(model.network.state_dict())
    model.compile_vision(True)
    assert list(model.network.state_dict()) == names


@pytest.mark.slow
def test_compiled_code_gives_the_same_features_and_answers() -> None:
    torch._dynamo.reset()
    model, inputs = small_engine("mixture"), prompt([14, 10, 12])
    answers = model.generate(inputs, 6)
    assert_same_features(model)
    torch.testing.assert_close(model.generate(inputs, 6), answers)


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    check_compile(False)
    with pytest.raises(ConfigError, match=r"model\.compile=True .*no C\+\+ compiler"):
        check_compile(True)
    monkeypatch.setenv("CXX", "a-compiler")
    (tmp_path / "a-compiler").touch(mode=0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match=r"Python\.h"):
        check_compile(True)
    (tmp_path / "Python.h").touch()
    check_compile(True)
    with pytest.raises(ConfigError, match="true or false"):
        check_compile("yes")
