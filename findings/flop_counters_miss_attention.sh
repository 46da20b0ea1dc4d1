#!/usr/bin/env bash
# torch 2.13.0 (FlopCounterMode), ptflops 0.7.5 and thop 0.1.1: one attention layer on the CPU.
#
# Guess: a FLOP counter counts the two products of `scaled_dot_product_attention`, on every device, or
#   says that it cannot.
# What happens: all three count the four projections and nothing of the attention, without a word,
#   though it is four fifths of the work at 512 tokens of width 64. torch's counter has formulas for the
#   kernels of a GPU, the CPU's kernel is not among them; its count of the experts' grouped product is
#   0, too.
# Who is hurt: whoever counts what fewer vision tokens save: the part that is quadratic in tokens is
#   not in the figure, and the saving of a laptop is not the saving of a GPU.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 ptflops==0.7.5
"$folder/env/bin/pip" install --quiet --no-deps thop==0.1.1.post2209072238
cat > "$folder/run.py" <<'PY'
import sys

import thop
import torch
from ptflops import get_model_complexity_info
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

TOKENS, WIDTH, HEADS = 512, 64, 4


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = [part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.parts[:3]]
        return self.parts[3](scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


layer, x = Attention().eval(), torch.randn(1, TOKENS, WIDTH)
projections, attention = 4 * TOKENS * WIDTH**2, 2 * TOKENS**2 * WIDTH  # multiplications
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    layer(x)
with torch.no_grad(), FlopCounterMode(display=False) as grouped:
    torch._grouped_mm(
        torch.randn(16, 32, dtype=torch.bfloat16),
        torch.randn(4, 32, 48, dtype=torch.bfloat16),
        offs=torch.tensor([4, 8, 12, 16], dtype=torch.int32),
    )
counts = {
    f"torch {torch.__version__}": counter.get_total_flops() // 2,
    "thop": int(thop.profile(layer, inputs=(x,), verbose=False)[0]),
    **{
        f"ptflops ({backend})": get_model_complexity_info(
            layer, (TOKENS, WIDTH), as_strings=False, print_per_layer_stat=False, backend=backend
        )[0]
        for backend in ("pytorch", "aten")
    },
}
print(f"by hand: projections {projections}, attention {attention} multiplications")
for name, count in counts.items():
    print(f"{name}: {count}")
print(f"torch, grouped product of 16 x 32 by 32 x 48: {grouped.get_total_flops()}, "
      f"by hand {2 * 16 * 32 * 48}")
sys.exit({*counts.values()} != {projections} or grouped.get_total_flops() != 0)
PY
"$folder/env/bin/python" "$folder/run.py"
