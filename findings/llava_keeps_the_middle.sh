#!/usr/bin/env bash
# transformers 5.24.0, LLaVA's (1.5) image processor with its checkpoints' side of 336.
#
# Guess: the model sees the whole picture, padded to a square, as LLaVA-1.5 was published (`image_aspect_ratio`
#   "pad"); the processor has `do_pad`.
# What happens: `do_pad` is off unless it is asked for, and the middle square is cut out: a photo of 4:3 loses a
#   quarter, 2000 x 500 three quarters, a line of text of 1500 x 100 all but 6 %. It is 576 tokens each time.
# Who is hurt: accuracy by aspect ratio: what is asked about is not in the picture, and the model is blamed;
#   figures beside those of the original code. `do_pad=True` shows all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
from PIL import Image
from transformers import __version__
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

seen = {}
for width, height in ((336, 336), (640, 480), (2000, 500), (1500, 100)):
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3)).astype(np.uint8)
    kept = []
    for options in ({}, {"do_pad": True}):
        processor = LlavaImageProcessorPil(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336},
            do_normalize=False, do_rescale=False, **options,
        )
        pixels = processor([Image.fromarray(ramp)], return_tensors="np")["pixel_values"][0, 0]
        kept.append(round(float(np.ptp(pixels)) / 255, 2))  # of the ramp from left to right
    seen[width, height] = tuple(kept)
    print(f"transformers {__version__}: {width} x {height}: {kept[0]:.0%} of the width is kept, "
          f"{kept[1]:.0%} with do_pad")
sys.exit(
    seen != {(336, 336): (1, 1), (640, 480): (0.75, 1), (2000, 500): (0.25, 1), (1500, 100): (0.06, 1)}
)
PY
"$folder/env/bin/python" "$folder/run.py"
