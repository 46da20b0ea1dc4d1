#!/usr/bin/env bash
# torchao 0.18.0 (`quantize_` with `Int8WeightOnlyConfig`) and optimum-quanto 0.2.7 (`quantize` with `qint8`) on
# blocks of torch's `MultiheadAttention` (torch 2.13.0), which open_clip 3.3.0 builds its vision encoders of.
#
# Guess: the matrices of an encoder become 8 bits; at the most a layer says that it cannot be.
# What happens: query, key and value are one parameter of the attention, no linear layer, and are passed over by both
#   without a word; torchao passes over the output projection, too, though that is a linear layer. A third of a
#   block's weights stay as they were (a quarter with quanto), all of attention and none of the rest. The same block
#   written with four linear layers has all of its matrices in 8 bits.
# Who is hurt: memory and speed of CLIP and CoCa towers "in 8 bits": a model of 16 bits shrinks to 67 %, in
#   place of 50 %, 4 bits to 50 % in place of 25 %; accuracy beside towers that are written otherwise, as in
#   transformers, where attention is quantised.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 packaging==26.3 optimum-quanto==0.2.7
"$folder/env/bin/pip" install --quiet --no-deps torchao==0.18.0 open-clip-torch==3.3.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import torch
from optimum.quanto import freeze, qint8, quantize
from torch import nn
from torchao.quantization import Int8WeightOnlyConfig, quantize_

WIDTH = 128


class Separate(nn.Module):
    """The block's matrices as transformers' encoders have them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("q", "k", "v", "out")})
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)


def left(module: nn.Module) -> tuple[float, list[str]]:
    """The share of the matrices' values that are still plain, and the names of those matrices."""
    matrices = {name: value for name, value in module.named_parameters() if value.dim() == 2}
    plain = {name: value for name, value in matrices.items() if type(value.data) is torch.Tensor
             and type(value) is nn.Parameter}
    count = [sum(value.numel() for value in group.values()) for group in (plain, matrices)]
    return count[0] / count[1], sorted(plain)


def torchao(module: nn.Module) -> None:
    quantize_(module, Int8WeightOnlyConfig())


def quanto(module: nn.Module) -> None:
    quantize(module, weights=qint8)
    freeze(module)


seen = {}
for tool, name in ((torchao, "torchao"), (quanto, "optimum-quanto")):
    for kind in ("torch's block", "four linear layers"):
        block = Separate() if kind != "torch's block" else nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, batch_first=True
        )
        tool(block)
        seen[name, kind] = left(block)
        print(f"{name} {version(name)}, {kind}: {seen[name, kind][0]:.1%} of the values are not quantised "
              f"{seen[name, kind][1]}")
source = Path(distribution("open-clip-torch").locate_file("open_clip/transformer.py")).read_text()
wanted = [
    (1 / 3, ["self_attn.in_proj_weight", "self_attn.out_proj.weight"]), (0, []),
    (1 / 4, ["self_attn.in_proj_weight"]), (0, []),
]
sys.exit([*seen.values()] != wanted or "nn.MultiheadAttention(" not in source)
PY
"$folder/env/bin/python" "$folder/run.py"
