"""One model on several devices: what is where, the same bits, and clear refusals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForImageTextToText
from typing_extensions import override

from tests.support import random_checkpoints as checkpoints
from tests.support.molmo_models import prompt, small_config, small_engine
from tierexp.errors import ConfigError
from tierexp.models.library_decoder import decoder_of
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.weights import load_model, take_memory, write_weights
from tierexp.models.placement import check_devices, devices_from, spread
from tierexp.models.plans.preprocessing import SizedImage
from tierexp.models.transformers_family.inputs import FamilyRow
from tierexp.models.transformers_family.source import FamilyCheckpoint
from tierexp.models.transformers_weights import device_map, empty_network, load_network

CPU = torch.device("cpu")
GPUS = [torch.device("cuda", number) for number in range(3)]


@pytest.mark.parametrize(
    ("blocks", "besides", "expected"),
    [
        ([10] * 6, 0, [0, 0, 1, 1, 2, 2]),
        ([10] * 5, 30, [1, 1, 2, 2, 2]),  # 30, 20 and 30 bytes
        ([10] * 2, 100, [2, 2]),  # the first device is full already
        ([10, 10, 40], 0, [0, 0, 2]),
        ([], 5, []),
    ],
)
def test_devices_hold_about_as_many_bytes(
    blocks: list[int], besides: int, expected: list[int]
) -> None:
    assert spread(blocks, besides, GPUS) == [GPUS[place] for place in expected]


class IndexedByOperations(TorchFunctionMode):
    """`x[...]` as single operations, and `x[...] = y` not at all, since there are no numbers:
    Python's indexing and copies ask for a driver.
    """

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func.__name__ == "__getitem__":
            return self.part(*args)
        if func.__name__ == "__setitem__":
            assert args[0].device == args[2].device
            assert self.part(*args[:2]).shape == args[2].shape
            return None
        if func.__name__ == "contiguous":
            return args[0].clone(memory_format=torch.contiguous_format)
        return func(*args, **(kwargs or {}))

    @staticmethod
    def part(x: Tensor, index: Any) -> Tensor:
        dim = 0
        wheres = index if isinstance(index, tuple) else (index,)
        for place, where in enumerate(wheres):
            if where is Ellipsis:
                dim = x.dim() - sum(later is not None for later in wheres[place + 1 :])
                continue
            if where is None:
                x = x.unsqueeze(dim)
            elif isinstance(where, slice):
                assert where.step is None
                x = torch.ops.aten.slice.Tensor(x, dim, where.start, where.stop)
            elif isinstance(where, int):
                x, dim = x.select(dim, where), dim - 1
            else:
                raise NotImplementedError(where)
            dim += 1
        return x


@pytest.mark.parametrize("kind", ["dense", "olmo"])
def test_activations_go_to_where_the_weights_are(kind: str) -> None:
    with torch.device("meta"):
        model = Molmo(small_config(kind, num_layers=12))
    # Fake tensors have no numbers, but a device, and torch refuses to mix devices.
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, IndexedByOperations(), torch.no_grad():
        take_memory(model, GPUS)
        home = GPUS[0]
        config = model.config.decoder
        places = model.transformer.devices_of(range(12))
        assert places == sorted(places, key=str)
        assert len({*places}) == 3
        for part in (model.vision_backbone, model.lm_head, model.transformer.wte):
            assert {p.device for p in part.parameters()} == {home}
        cache = KeyValueCache(config, 2, 9, places, torch.float32, range(12))
        ids = torch.zeros(2, 6, dtype=torch.long, device=home)
        padding = torch.empty(2, 6, dtype=torch.bool, device=home)[:, None, None].expand(2, 1, 6, 6)
        positions = torch.arange(6, device=home).expand(2, -1)
        logits = model.decode(ids, None, None, padding, positions, cache=cache)
        assert logits.device == home
        assert [cache.of(block)[0].device for block in range(12)] == places
        repeated = cache.repeat(torch.zeros(5, dtype=torch.long, device=home), 9)
        assert [repeated.of(block)[1].device for block in range(12)] == places
        token = torch.zeros(5, 1, dtype=torch.long, device=home)
        next_one = model.decode(token, position_ids=token, cache=repeated)
        assert next_one.shape == (5, 1, config.vocab_size)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_a_model_in_parts_answers_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole, inputs = small_engine(kind), prompt([14, 10, 12])
    file = tmp_path / "model.safetensors"
    write_weights(whole.network, file, torch.float32)
    parts = load_model([file], whole.network.config, [CPU, CPU, CPU], torch.float32)
    assert torch.equal(MolmoEngine(parts).generate(inputs, 6), whole.generate(inputs, 6))
    with torch.inference_mode():
        assert torch.equal(parts(inputs), whole.network(inputs))


@pytest.fixture(scope="module")
def internvl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("internvl") / "checkpoint"
    checkpoints.internvl3_5(folder)
    return folder


def test_a_family_s_decoder_is_laid_over_the_devices(internvl: Path) -> None:
    network = empty_network(AutoModelForImageTextToText, internvl)
    places = device_map(network, GPUS)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        (place,) = (p for p in places if name == p or name.startswith(f"{p}."))
        block = re.search(r"language_model\.layers\.(\d+)\.", name)
        assert tensor.device.type == "meta"
        if block is None:
            assert places[place] == GPUS[0]
    blocks = [places[f"model.language_model.layers.{number}"] for number in range(3)]
    assert blocks == sorted(blocks, key=str)


def test_a_family_s_activations_go_to_where_the_weights_are(internvl: Path) -> None:
    network = empty_network(AutoModelForImageTextToText, internvl)
    decoder = decoder_of(network)
    places = {
        name: GPUS[int(name[-1])] if ".layers." in name and "language" in name else GPUS[0]
        for name in device_map(network, GPUS)
    }
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, IndexedByOperations(), torch.no_grad():
        for name, device in places.items():
            network.get_submodule(name).to_empty(device=device)
        skipped = network._skip_keys_device_placement
        dispatch_model(network, places, main_device=GPUS[0], skip_keys=skipped)
        positions = torch.arange(6, device=GPUS[0]).expand(1, -1)
        told = torch.zeros(1, 6, decoder.config.hidden_size, device=GPUS[0])
        answer = decoder(inputs_embeds=told, position_ids=positions, use_cache=True)
    assert answer.last_hidden_state.device == GPUS[0]
    assert [layer.keys.device for layer in answer.past_key_values.layers] == GPUS


def test_a_family_that_accelerate_moves_answers_with_the_same_bits(internvl: Path) -> None:
    source = FamilyCheckpoint(str(internvl), "internvl")
    weights = load_network(AutoModelForImageTextToText, internvl, [CPU, CPU], torch.float32)
    model, plan = source.load(CPU), source.preset.geometry.plan(448, 448)
    pixels = torch.randint(256, (448, 448, 3), generator=torch.Generator().manual_seed(0))
    image = SizedImage(pixels.byte().numpy(), (), plan.vision_tokens, plan.marks, 1.0)
    inputs = source.inputs().collate([FamilyRow(image, "what is it?")])
    decoder, logits = decoder_of(model.network), []
    mine, read = model.network.state_dict(), weights.state_dict()
    assert mine.keys() == read.keys()
    assert all(torch.equal(mine[name], read[name]) for name in mine)
    model.network.lm_head.register_forward_hook(lambda *of: logits.append(of[-1]))
    answer = model.generate(inputs, 4, fixed_length=True)
    # torch knows one CPU: what accelerate does for several devices, it does here for one.
    places = device_map(model.network, [CPU, CPU])
    dispatch_model(model.network, places, force_hooks=True)
    assert all(hasattr(block, "_hf_hook") for block in decoder.layers)
    assert torch.equal(model.generate(inputs, 4, fixed_length=True), answer)
    assert len(logits) == 8
    assert all(map(torch.equal, logits[:4], logits[4:]))


def test_more_devices_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_from("auto", CPU) == (CPU,)
    with pytest.raises(ConfigError, match=r"model\.devices=2 .*it is one CPU"):
        devices_from(2, CPU)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices_from("auto", GPUS[1]) == (GPUS[1], GPUS[2], GPUS[0])
    assert devices_from(2, GPUS[0]) == (GPUS[0], GPUS[1])
    with pytest.raises(ConfigError, match=r"at most the GPUs of this machine \(3\)"):
        devices_from(4, GPUS[0])


def test_a_family_is_refused_what_there_is_not(internvl: Path) -> None:
    source = FamilyCheckpoint(str(internvl), "internvl", devices=2)
    with pytest.raises(ConfigError, match=r"model\.devices=2 .*it is one CPU"):
        source.load(CPU)
    with pytest.raises(ConfigError, match=r"model\.devices"):
        FamilyCheckpoint(str(internvl), "internvl", devices=0)


@pytest.mark.parametrize("wanted", [0, True, "all", None, 1.5])
def test_what_is_no_number_of_devices_is_refused(wanted: object) -> None:
    with pytest.raises(ConfigError, match=r"model\.devices"):
        check_devices(wanted)
