#!/usr/bin/env bash
# transformers 5.24.0, Aria's processor with `split_image=True`, two pictures in one call.
#
# Guess: each picture's place in the prompt gets as many tokens as its own crops need.
# What happens: one number, the crops of the picture that has the most, is used for each. 980 x 980 (one crop) and
#   2000 x 500 (two) become three crops, 768 tokens, and 1,024 placeholders are written: 512 for each, in either
#   order. Two pictures of one shape, and one alone, are right; so is the count ahead of the pixels, 256 and 512.
# Who is hurt: few-shot prompts, pages with figures and batches of mixed shapes: the prompt does not fit its
#   pictures, in the one mode that shows Aria more than 980 pixels; tests on pictures of one size pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys
from types import SimpleNamespace

from PIL import Image
from transformers import __version__
from transformers.models.aria.image_processing_pil_aria import AriaImageProcessorPil
from transformers.models.aria.processing_aria import AriaProcessor

images = AriaImageProcessorPil(split_image=True)
# The processor's own arithmetic at its defaults; the class itself wants a tokenizer, which has no part in it.
processor = SimpleNamespace(size_conversion={490: 128, 980: 256}, image_token=".")
seen = {}
for sizes in (((980, 980),), ((2000, 500),), ((2000, 500), (2000, 500)), ((980, 980), (2000, 500))):
    made = images([Image.new("RGB", size) for size in sizes], return_tensors="np")
    written = [len(AriaProcessor.replace_image_token(processor, made, index)) for index in range(len(sizes))]
    seen[sizes] = made["pixel_values"].shape[0] * 256, sum(written)
    print(f"transformers {__version__}: {' and '.join(f'{w} x {h}' for w, h in sizes)}: "
          f"{made['pixel_values'].shape[0]} crops make {seen[sizes][0]} tokens, placeholders {written}")
planned = [images.get_number_of_image_patches(height, width, {"split_image": True})
           for width, height in ((980, 980), (2000, 500))]
print(f"planned ahead: {planned} crops")
sys.exit([*seen.values()] != [(256, 256), (512, 512), (1024, 1024), (768, 1024)] or planned != [1, 2])
PY
"$folder/env/bin/python" "$folder/run.py"
