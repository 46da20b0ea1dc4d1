#!/usr/bin/env bash
# transformers 5.24.0, Idefics2's image processor at its defaults (shortest edge 378, longest 980).
#
# Guess: a picture keeps its shape, as the processor's description says, up to a pixel of rounding.
# What happens: the longer side is brought below 980 first, with the shape kept; then each side that is under
#   378 is set to 378 by itself. A 1960 x 400 picture becomes 980 x 378: 2.6 times as wide as high in place
#   of 4.9. A line of text of 600 x 60 becomes 600 x 378, six times as high. Nothing is cut or padded.
# Who is hurt: banners, lines of text, panoramas and telephones' screens: their mismatch is the largest of
#   all, and a plan of patches from a kept shape is wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import transformers
from PIL import Image
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

processor = Idefics2ImageProcessorPil()
seen = {}
for width, height in ((640, 480), (1960, 1470), (1960, 400), (600, 60)):
    made = processor([[Image.new("RGB", (width, height))]], return_tensors="np")["pixel_values"]
    seen[width, height] = made.shape[:-3:-1]
    across, down = seen[width, height]
    print(f"transformers {transformers.__version__}: {width} x {height} (shape {width / height:.2f}) "
          f"becomes {across} x {down} (shape {across / down:.2f})")
sys.exit([*seen.values()] != [(640, 480), (980, 735), (980, 378), (600, 378)])
PY
"$folder/env/bin/python" "$folder/run.py"
