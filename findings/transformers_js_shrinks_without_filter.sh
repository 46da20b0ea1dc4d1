#!/usr/bin/env bash
# transformers.js 4.3.1 (npm) on node, `RawImage.resize`, which its image processors use, and Pillow 12.0.0.
# Needs node and npm.
#
# Guess: "bilinear" and "bicubic" (`resample` 2 and 3 of a processor's file) mean what they mean in the library
#   that the files come from, whose pixels are Pillow's: shrinking averages what falls into a pixel.
# What happens: only the nearest two or four pixels are looked at, whatever the factor. Fine lines, 5 pixels
#   apart, shrunk by four: Pillow makes them grey (a spread of 6 levels for bilinear, 4 for bicubic), here they
#   become a false pattern of black and white (125). Lanczos (1) is filtered: 12, and 3 in Pillow.
# Who is hurt: small print and charts in pictures that are shrunk: the encoder is shown patterns that are not
#   there, so accuracy measured in Python is not the browser's or node's. Shrink with Lanczos before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.3.5 pillow==12.0.0
cd "$folder"
echo '{"type": "module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.1
cat > run.mjs <<'JS'
import { RawImage } from "@huggingface/transformers";

const side = 1120;
const black = (at) => (Math.floor(at / 3) % side) % 5 < 2;
const lines = new Uint8ClampedArray(side * side * 3).map((_, at) => (black(at) ? 0 : 255));
const spread = {};
for (const resample of [1, 2, 3]) {
  const { data } = await new RawImage(lines, side, side, 3).resize(280, 280, { resample });
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  spread[resample] = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
}
console.log(JSON.stringify(spread));
JS
cat > run.py <<'PY'
import json
import subprocess
import sys

import numpy as np
from PIL import Image

said = subprocess.run(["node", "run.mjs"], capture_output=True, text=True, check=True).stdout
theirs = {int(resample): value for resample, value in json.loads(said).items()}
row = np.where(np.arange(1120) % 5 < 2, 0, 255).astype(np.uint8)
lines = Image.fromarray(np.broadcast_to(row[None, :, None], (1120, 1120, 3)).copy())
seen = {}
for resample, name in ((1, "Lanczos"), (2, "bilinear"), (3, "bicubic")):
    pillow = float(np.asarray(lines.resize((280, 280), resample)).std())
    seen[name] = (theirs[resample], pillow)
    print(f"lines of 5 pixels shrunk by four, {name}: spread in transformers.js 4.3.1 {theirs[resample]:.1f}, "
          f"in Pillow {pillow:.1f}")
filtered = max(seen["Lanczos"]) < 20
apart = all(seen[name][0] > 100 and seen[name][1] < 10 for name in ("bilinear", "bicubic"))
sys.exit(not (filtered and apart))
PY
"$folder/env/bin/python" run.py
