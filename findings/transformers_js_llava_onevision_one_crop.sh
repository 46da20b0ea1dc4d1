#!/usr/bin/env bash
# transformers.js 4.3.1 (npm) and transformers 5.24.0 (pip), LLaVA-OneVision's image processor with the same
# `image_grid_pinpoints`. Needs node and npm.
#
# Guess: a large picture is cut into the same crops in both, or the port says that it does not cut.
# What happens: the port takes the setting and ignores it: every picture is one square of 384 pixels.
#   1400 x 1000 is 13 crops in Python (the whole one included) and 1 there; 2000 x 500 is squashed by four.
# Who is hurt: documents in the browser, read at a tenth of the tokens with the weights' own settings; plans of
#   tokens from the Python processor.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cd "$folder"
echo '{"type": "module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.1
cat > run.mjs <<'JS'
import { readFileSync } from "node:fs";
import { LlavaOnevisionImageProcessor, RawImage } from "@huggingface/transformers";

const processor = new LlavaOnevisionImageProcessor(JSON.parse(readFileSync("preprocessor_config.json")));
const shapes = [];
for (const [width, height] of [[1400, 1000], [2000, 500], [384, 384]]) {
  const picture = new RawImage(new Uint8ClampedArray(width * height * 3), width, height, 3);
  shapes.push((await processor([picture])).pixel_values.dims);
}
console.log(JSON.stringify(shapes));
JS
cat > run.py <<'PY'
import json
import subprocess
import sys

import transformers
from PIL import Image
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

processor = LlavaOnevisionImageProcessorPil()
processor.save_pretrained(".")  # the settings that the port reads
said = subprocess.run(["node", "run.mjs"], capture_output=True, text=True, check=True)
seen = {}
for size, port in zip(((1400, 1000), (2000, 500), (384, 384)), json.loads(said.stdout), strict=True):
    made = processor(Image.new("RGB", size), return_tensors="np")["pixel_values"].shape
    seen[size] = (port, list(made[1:]))
    print(f"{size[0]} x {size[1]}: transformers.js 4.3.1 {port}, "
          f"transformers {transformers.__version__} {list(made[1:])}")
one = [1, 3, 384, 384]
sys.exit([port for port, _ in seen.values()] != [one] * 3
         or [crops[0] for _, crops in seen.values()] != [13, 13, 2])
PY
"$folder/env/bin/python" run.py
