#!/usr/bin/env bash
# transformers 5.24.0, Mllama's (Llama 3.2 Vision) image processor with its checkpoints' tiles of 560 pixels.
#
# Guess: a picture a pixel larger than a tile is shrunk by that pixel, or blown up to fill the tiles it gets.
# What happens: neither. The smallest canvas that needs no shrinking is taken, and the picture is laid on it at
#   its own size: 561 x 561 gets 1120 x 1120, four tiles of which three quarters are padding, where 560 x 560
#   fills one. 600 x 450 gets two tiles, 43 % used. Each tile is 1,601 tokens for the cross-attention.
# Who is hurt: whoever brings pictures to "about 560" or counts tiles by area: four times the encoder's time
#   for the same pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import transformers
from PIL import Image
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

processor = MllamaImageProcessorPil(size={"height": 560, "width": 560}, do_normalize=False)
seen = {}
for size in ((560, 560), (561, 561), (600, 450), (1120, 1120)):
    made = processor([[Image.new("RGB", size, "white")]], return_tensors="np")
    tiles = int(made["num_tiles"][0][0])
    used = float((made["pixel_values"][0, 0, :tiles] > 0.5).mean())  # padding is black
    seen[size] = (tiles, round(used, 2))
    print(f"transformers {transformers.__version__}: {size[0]} x {size[1]}: {tiles} tiles, {used:.0%} used")
sys.exit([*seen.values()] != [(1, 1.0), (4, 0.25), (2, 0.43), (4, 1.0)])
PY
"$folder/env/bin/python" "$folder/run.py"
