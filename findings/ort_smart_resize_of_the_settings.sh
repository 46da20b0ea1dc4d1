#!/usr/bin/env bash
# onnxruntime-extensions 0.15.2 (the image processing of onnxruntime-genai): `Resize` with `smart_resize`, set
# as exports of Qwen2.5-VL set it (width 540, height 360, pixels from 3,136 to 12,845,056, patches of 14).
#
# Guess: Qwen's rule: a picture keeps its shape and about its size, in multiples of 28; width and height are
#   not used.
# What happens: the rule is applied to the width and height of the settings, not to the picture's. Every
#   picture becomes 532 x 364, 247 tokens: 1600 x 300 and 64 x 64 as well as 640 x 480. With
#   `keep_aspect_ratio`, a plain `Resize` of 640 x 480 to a box of 224 x 224 gives 224 x 224, too.
# Who is hurt: accuracy of exported models beside the original: a page of 5,000 tokens is read at 247, upright
#   ones are laid flat; latency by picture size is a constant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps onnxruntime-extensions==0.15.2
"$folder/env/bin/pip" install --quiet numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import json
import sys
from importlib.metadata import version

from onnxruntime_extensions.pp_api import ImageProcessor
from PIL import Image

SMART = {"width": 540, "height": 360, "smart_resize": 1, "min_pixels": 3136,
         "max_pixels": 12845056, "patch_size": 14, "merge_size": 2}


def resized(settings: dict, size: tuple[int, int]) -> tuple[int, int]:
    file = f"{sys.argv[1]}/picture.png"
    Image.new("RGB", size).save(file)
    steps = [("DecodeImage", {"color_space": "RGB"}), ("Resize", settings)]
    processor = ImageProcessor(json.dumps({"processor": {"name": "picture", "transforms": [
        {"operation": {"name": kind.lower(), "type": kind, "attrs": attrs}} for kind, attrs in steps
    ]}}))
    _, height, width, _ = ImageProcessor.to_numpy(processor.pre_process(file), 0).shape
    return width, height


seen = {size: resized(SMART, size) for size in ((640, 480), (480, 640), (1600, 300), (64, 64))}
boxed = resized({"width": 224, "height": 224, "keep_aspect_ratio": 1}, (640, 480))
for size, (width, height) in seen.items():
    print(f"onnxruntime-extensions {version('onnxruntime-extensions')}: {size[0]} x {size[1]} becomes "
          f"{width} x {height}, {width * height // 784} tokens")
print(f"640 x 480 in a box of 224 x 224 with keep_aspect_ratio: {boxed[0]} x {boxed[1]}")
sys.exit({*seen.values()} != {(532, 364)} or boxed != (224, 224))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
