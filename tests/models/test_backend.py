"""What encodes crops: the same features by every backend, one compilation, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.molmo_models import prompt, small_engine
from tierexp.errors import ConfigError
from tierexp.models.backend import Backend, check_backend
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
def assert_same_features(model: MolmoEngine, backend: Backend) -> None:
    for shape in SHAPES:
        model.encode_with("eager")
        expected = model.vision_features(*crops(*shape))
        model.encode_with(backend)
        features = model.vision_features(*crops(*shape))
        assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.whole
def test_one_compilation_serves_every_number_of_images_and_crops(
    compilations: list[object],
) -> None:
    assert_same_features(small_engine("mixture"), "compile")
    assert len(compilations) == 1


@torch.inference_mode()
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_views_are_encoded_alike_however_many_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (pixels, mask) = small_engine("mixture"), crops(2, 5)
    backbone = model.network.vision_backbone
    one_by_one = torch.stack(
        [backbone.views(pixels[i, n : n + 1], mask[i, n : n + 1]) for i in (0, 1) for n in range(5)]
    )
    widths = 17 * backbone.mlp_width * 4  # 16 patches and the class token, in float32
    monkeypatch.setattr("tierexp.models.molmo.vision_backbone.CACHE_BYTES", at_once * widths)
    assert backbone.views_at_once == at_once
    features = model.vision_features(pixels, mask).flatten(0, 1)
    assert (features - one_by_one.flatten(0, 1)).abs().max() < 1e-6 * one_by_one.abs().max()
    encoded = backbone.encode(pixels, mask)
    whole = small_engine("mixture").network.vision_backbone.encode(pixels, mask)
    for part, expected in ((encoded.scores, whole.scores), (encoded.keys, whole.keys)):
        assert part is not None
        torch.testing.assert_close(part, expected)


def test_a_gradient_sees_all_views_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tierexp.models.molmo.vision_backbone.CACHE_BYTES", 1)
    backbone, seen = small_engine("mixture").network.vision_backbone, list[int]()

    def count(pixels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return backbone.views(pixels, mask)

    backbone.in_parts(count, *crops(1, 4))
    with torch.no_grad():
        backbone.in_parts(count, *crops(1, 4))
    assert seen == [4, 1, 1, 1, 1]


@torch.inference_mode()
@pytest.mark.slow
def test_openvino_gives_the_same_features_in_float32() -> None:
    pytest.importorskip("openvino")
    from tierexp.models.molmo.openvino_encoder import OpenVinoEncoder

    model = small_engine("mixture")
    assert_same_features(model, "openvino")
    assert isinstance(model._encoder, OpenVinoEncoder)
    assert model._encoder.precision == "f32"
    pixels, mask = crops(1, 3)
    exact = pixels.float() / 255
    exact[0, 1] = -1
    expected = model.network.vision_features(exact, mask)
    assert (model.vision_features(exact, mask) - expected).abs().max() < 1e-4 * expected.abs().max()
    alone = torch.cat([model._encoder(pixels[0, n : n + 1], mask[0, n : n + 1]) for n in range(3)])
    assert torch.equal(model._encoder(pixels[0], mask[0]), alone)


def test_openvino_takes_float32_alone() -> None:
    pytest.importorskip("openvino")
    model = small_engine("mixture")
    model.network.bfloat16()
    with pytest.raises(ConfigError, match=r"weights in torch\.bfloat16"):
        model.encode_with("openvino")


def test_openvino_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tierexp.models.backend.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'tierexp\[openvino\]'"):
        check_backend("openvino")


@pytest.mark.usefixtures("compilations")
def test_weights_keep_their_names() -> None:
    model = small_engine("mixture")
    names = list(model.network.state_dict())
    model.encode_with("compile")
    assert list(model.network.state_dict()) == names


@pytest.mark.slow
def test_compiled_code_gives_the_same_features_and_answers() -> None:
    torch._dynamo.reset()
    model, inputs = small_engine("mixture"), prompt([14, 10, 12])
    answers = model.generate(inputs, 6)
    assert_same_features(model, "compile")
    torch.testing.assert_close(model.generate(inputs, 6), answers)


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    check_backend("eager")
    with pytest.raises(ConfigError, match=r"model\.backend='compile' .*no C\+\+ compiler"):
        check_backend("compile")
    monkeypatch.setenv("CXX", "a-compiler")
    (tmp_path / "a-compiler").touch(mode=0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match=r"Python\.h"):
        check_backend("compile")
    (tmp_path / "Python.h").touch()
    check_backend("compile")
    with pytest.raises(ConfigError, match="eager, compile, openvino"):
        check_backend("yes")
