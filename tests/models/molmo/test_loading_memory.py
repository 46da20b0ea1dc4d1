"""Loading a checkpoint takes the memory of its weights and next to nothing more.

Measured from outside: a fresh process loads a few hundred MB, and the operating system says how
much memory it ever had, pages of mapped files included.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.molmo_models import MIXTURE, VISION
from tests.support.parameters import slow
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig
from tierexp.models.molmo.weights import released_tensors

ALLOWED = 1.15
SHARDS = 3

LOAD = r"""
import re, sys
from pathlib import Path
import torch
from tierexp.models.checkpoint_files import weight_files
from tierexp.models.molmo.config import read_config
from tierexp.models.molmo.weights import load_model, released_tensors

def peak():
    # Not ru_maxrss: a process inherits that from the one that started it.
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])

folder, dtype = Path(sys.argv[1]), getattr(torch, sys.argv[2])
config, files = read_config(folder), weight_files(folder)
list(released_tensors(config))  # a model without memory makes torch import some 90 MB of code
before = peak()
model = load_model(files, config, [torch.device("cpu")], dtype)
weights = sum(p.numel() * p.element_size() for p in model.parameters())
print(weights, peak() - before)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of experts of 330 MB in float32, in three shards."""
    folder = tmp_path_factory.mktemp("large")
    sizes = MIXTURE | {"vocab_size": 8192, "width": 1024, "mlp_width": 1024, "num_experts": 10}
    config = MolmoConfig(
        vision=VISION,
        connector=ConnectorConfig(pooling=(2, 2), hidden_width=64),
        decoder=DecoderConfig(**sizes),
        overlap_margins=(1, 1),
    )
    (folder / "config.json").write_text(json.dumps(config.to_checkpoint_json()))
    with torch.device("meta"):
        state = Molmo(config).state_dict()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2**24, generator=generator)
    shards: list[dict[str, torch.Tensor]] = [{} for _ in range(SHARDS)]
    for number, tensor in enumerate(released_tensors(config)):
        shape = tensor.part_of(state[tensor.target]).shape
        shards[number % SHARDS][tensor.name] = noise[: math.prod(shape)].reshape(shape) + number
    weight_map = {}
    for number, tensors in enumerate(shards):
        file = f"model-{number}.safetensors"
        save_file(tensors, folder / file)
        weight_map |= dict.fromkeys(tensors, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.whole
@pytest.mark.parametrize("dtype", ["float32", slow("bfloat16")])
def test_a_float32_checkpoint_takes_the_memory_of_its_weights(checkpoint: Path, dtype: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOAD, str(checkpoint), dtype],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    weights, taken = map(float, process.stdout.split())
    assert weights > 150e6
    assert 0.9 * weights < taken < ALLOWED * weights
