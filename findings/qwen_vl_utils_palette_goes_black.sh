#!/usr/bin/env bash
# qwen-vl-utils 0.0.14 (`to_rgb`, on the way of every picture) and transformers 5.24.0 (`convert_to_rgb`).
#
# Guess: what is transparent becomes white in both: both lay an RGBA picture on white.
# What happens: qwen-vl-utils asks for RGBA alone. The same picture saved with a palette, in grey with alpha or
#   with one transparent colour is converted without its alpha: black where the file has black under it.
#   transformers lays all four on white.
# Who is hurt: diagrams, formulas and icons, which optimisers save with a palette: black lines on black, in
#   prompts made with the one and not with the other, and nothing says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps qwen-vl-utils==0.0.14
cat > "$folder/run.py" <<'PY'
import ast
import sys
import warnings
from importlib.metadata import distribution, version
from pathlib import Path

from PIL import Image
from transformers.image_transforms import convert_to_rgb

warnings.simplefilter("ignore")
# The function that counts here, out of a file that imports torchvision.
path = distribution("qwen-vl-utils").locate_file("qwen_vl_utils/vision_process.py")
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "to_rgb"]
theirs: dict = {"Image": Image}
exec(compile(tree, str(path), "exec"), theirs)

file = Path(sys.argv[1]) / "picture.png"
clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
saved = {
    "RGBA": (clear, {}),
    "palette": (clear.quantize(4), {}),
    "grey with alpha": (clear.convert("LA"), {}),
    "one transparent colour": (Image.new("RGB", (8, 8)), {"transparency": (0, 0, 0)}),
}
seen = {}
for name, (picture, settings) in saved.items():
    picture.save(file, **settings)
    seen[name] = tuple(
        to_rgb(Image.open(file)).getpixel((0, 0)) for to_rgb in (theirs["to_rgb"], convert_to_rgb)
    )
    print(f"{name}: qwen-vl-utils {version('qwen-vl-utils')} {seen[name][0]}, "
          f"transformers {version('transformers')} {seen[name][1]}")
white, black = (255,) * 3, (0,) * 3
sys.exit([*seen.values()] != [(white, white), (black, white), (black, white), (black, white)])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
