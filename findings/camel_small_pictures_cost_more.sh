#!/usr/bin/env bash
# camel-ai 0.2.90: the tokens of a picture in `OpenAITokenCounter`.
#
# Guess: the vendor's rule, which only makes pictures smaller: a picture of one tile, 512 x 512, is 255 tokens,
#   and nothing is cheaper to send than a small one.
# What happens: the shorter side is brought to 768 up as well as down, after the limit of 2,048 has been
#   looked at. 100 x 100 counts as 765 tokens, and what is thin by far the most: a line of text of 1000 x 50
#   counts as 15,360 x 768 pixels: 60 tiles, 10,285 tokens, thirteen times a photo of 4000 x 3000.
# Who is hurt: agents that drop history by that count: a small picture throws out pages of talk.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps camel-ai==0.2.90
"$folder/env/bin/pip" install --quiet pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import ast
import sys
from enum import Enum
from importlib.metadata import distribution, version
from math import ceil

from PIL import Image

# The constants and the function that count here, out of a file that imports all of the framework.
path = distribution("camel-ai").locate_file("camel/utils/token_counting.py")
tree = ast.parse(path.read_text())
counter = next(part for part in tree.body
               if isinstance(part, ast.ClassDef) and part.name == "OpenAITokenCounter")
tree.body = [part for part in tree.body
             if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant)]
tree.body += [part for part in counter.body
              if isinstance(part, ast.FunctionDef) and part.name == "_count_tokens_from_image"]
detail = Enum("OpenAIVisionDetailType", {"LOW": "low", "HIGH": "high"})
theirs: dict = {"Image": Image, "OpenAIVisionDetailType": detail, "ceil": ceil}
exec(compile(tree, str(path), "exec"), theirs)

seen = {}
for size in ((512, 512), (100, 100), (1000, 50), (4000, 3000)):
    picture = Image.new("1", size)
    seen[size] = theirs["_count_tokens_from_image"](None, picture, detail.HIGH)
    print(f"camel-ai {version('camel-ai')}: {size[0]} x {size[1]}: {seen[size]} tokens")
sys.exit([*seen.values()] != [765, 765, 10_285, 765])
PY
"$folder/env/bin/python" "$folder/run.py"
