#!/usr/bin/env bash
# onnxruntime-extensions 0.15.2: `ConvertRGB` behind `DecodeImage` with `color_space` "RGB", as the processor
# files of exported vision-language models chain them.
#
# Guess: what is RGB stays RGB.
# What happens: `ConvertRGB` swaps the first and the third channel whatever they are. A red picture reaches
#   the encoder blue. Without it, or with "BGR" in the decoder, colours are right.
# Who is hurt: questions about colours, and every figure of accuracy: nothing fails, and words on white paper
#   are read as before.
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

file = f"{sys.argv[1]}/red.png"
Image.new("RGB", (8, 8), (200, 30, 10)).save(file)


def pixel(*steps: tuple[str, dict]) -> list[int]:
    processor = ImageProcessor(json.dumps({"processor": {"name": "picture", "transforms": [
        {"operation": {"name": kind.lower(), "type": kind, "attrs": attrs}} for kind, attrs in steps
    ]}}))
    return ImageProcessor.to_numpy(processor.pre_process(file), 0)[0, 0, 0].tolist()


seen = {
    "decoded as RGB": pixel(("DecodeImage", {"color_space": "RGB"})),
    "decoded as RGB, ConvertRGB": pixel(("DecodeImage", {"color_space": "RGB"}), ("ConvertRGB", {})),
    "decoded as BGR, ConvertRGB": pixel(("DecodeImage", {"color_space": "BGR"}), ("ConvertRGB", {})),
}
for steps, colour in seen.items():
    print(f"onnxruntime-extensions {version('onnxruntime-extensions')}: red 200, green 30, blue 10, "
          f"{steps}: {colour}")
sys.exit([*seen.values()] != [[200, 30, 10], [10, 30, 200], [200, 30, 10]])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
