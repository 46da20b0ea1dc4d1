#!/usr/bin/env bash
# gguf 0.19.0 (`quants.quantize`), the shapes of vision encoders that many models share.
#
# Guess: an encoder is quantised like the language model behind it: Q8_0 halves it, Q4_K quarters it.
# What happens: blocks are 32 values of a row, K-quants' 256. SigLIP-so400m's feed-forward is 4,304 wide and
#   Qwen2.5-VL's 3,420: neither is a multiple of 32, so the weights that read from it, a third and a fifth of all,
#   have no quantised type and stay at 16 bits. Its width of 1,152 is not a multiple of 256, so that no weight
#   of SigLIP-so400m can be Q4_K or Q6_K. A patch of 14 x 14 x 3 values, 588, fits neither.
# Who is hurt: whoever reckons an encoder's memory from its bits, or reads "Q4" of a model as that of its
#   encoder; Gemma 3, PaliGemma, Idefics 3 and Kimi-VL have these widths. CLIP-L (1,024, 4,096) fits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet gguf==0.19.0 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Width, feed-forward width and matrices of the feed-forward, from the models' published configurations.
ENCODERS = {"SigLIP-so400m": (1152, 4304, 2), "Qwen2.5-VL": (1280, 3420, 3), "CLIP-L": (1024, 4096, 2)}
KINDS = [GGMLQuantizationType[name] for name in ("Q8_0", "Q5_1", "Q4_0", "Q4_K", "Q6_K")]
seen = {}
for name, (width, hidden, matrices) in ENCODERS.items():
    for row in (width, hidden, 588):
        fitting = []
        for kind in KINDS:
            try:
                quants.quantize(np.zeros((2, row), np.float32), kind)
            except quants.QuantError:  # the row is not a multiple of the block
                assert row % GGML_QUANT_SIZES[kind][0]
                continue
            except NotImplementedError:  # it fits, but this package leaves K-quants to another program
                assert row % GGML_QUANT_SIZES[kind][0] == 0
            fitting.append(kind.name)
        seen[name, row] = fitting
        print(f"gguf {version('gguf')}: {name}: rows of {row}: {', '.join(fitting) or 'none of ' + str(len(KINDS))}")
    share = width * hidden / (4 * width**2 + matrices * width * hidden)
    print(f"{name}: rows of {hidden} are {share:.0%} of a layer's weights")
BY_32, ALL = ["Q8_0", "Q5_1", "Q4_0"], [kind.name for kind in KINDS]
sys.exit(
    seen
    != {
        ("SigLIP-so400m", 1152): BY_32, ("SigLIP-so400m", 4304): [], ("SigLIP-so400m", 588): [],
        ("Qwen2.5-VL", 1280): ALL, ("Qwen2.5-VL", 3420): [], ("Qwen2.5-VL", 588): [],
        ("CLIP-L", 1024): ALL, ("CLIP-L", 4096): ALL, ("CLIP-L", 588): [],
    }
)
PY
"$folder/env/bin/python" "$folder/run.py"
