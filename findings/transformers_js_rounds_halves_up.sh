#!/usr/bin/env bash
# transformers.js 4.3.1 (npm) and transformers 5.24.0 (pip): Qwen2-VL's grid. Needs node and npm.
#
# Guess: the same rule in the same words gives the same grid in both languages.
# What happens: a side is rounded to a multiple of 28. Halfway, JavaScript's `Math.round` goes up and Python's
#   `round` to the even neighbour: 70 is 2.5 cells, 3 there and 2 here. Half of the sides that are an odd
#   multiple of the patch, 14, differ (70, 126, 182, ... 350), so sizes that were chosen to fit the patches
#   are the ones that do not agree: 350 x 350 is 676 patches (169 tokens) and 576 (144).
# Who is hurt: counts and embeddings made in one and used in the other; whoever tests a port on a few random
#   sizes, of which one in 28 or so differs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cd "$folder"
echo '{"type": "module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.1
cat > run.mjs <<'JS'
import { Qwen2VLImageProcessor, RawImage } from "@huggingface/transformers";

const processor = new Qwen2VLImageProcessor({
  do_normalize: false, do_rescale: false, do_resize: true, do_convert_rgb: true, resample: 3,
  merge_size: 2, patch_size: 14, temporal_patch_size: 2, min_pixels: 3136, max_pixels: 1003520,
});
const patches = {};
for (const side of process.argv.slice(2).map(Number)) {
  const picture = new RawImage(new Uint8ClampedArray(side * side * 3), side, side, 3);
  patches[side] = (await processor([picture])).pixel_values.dims[0];
}
console.log(JSON.stringify(patches));
JS
cat > run.py <<'PY'
import json
import subprocess
import sys

import transformers
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SIDES = (70, 98, 126, 350, 378, 336, 345)
said = subprocess.run(["node", "run.mjs", *map(str, SIDES)], capture_output=True, text=True, check=True)
theirs = {int(side): count for side, count in json.loads(said.stdout).items()}
processor = Qwen2VLImageProcessorPil()
seen = {}
for side in SIDES:
    made = processor(Image.new("RGB", (side, side)), return_tensors="np")["pixel_values"]
    seen[side] = (theirs[side], len(made))
    print(f"{side} x {side}: transformers.js 4.3.1 {theirs[side]} patches, "
          f"transformers {transformers.__version__} {len(made)}")
sys.exit([*seen.values()] != [(36, 16), (64, 64), (100, 64), (676, 576), (784, 784), (576, 576), (576, 576)])
PY
"$folder/env/bin/python" run.py
