#!/usr/bin/env bash
# crfm-helm 0.5.16: `resize_image_to_max_file_size`, which its client for Claude makes large files fit with.
#
# Guess: a file that is too large for the service is made smaller in its own shape.
# What happens: ten pixels are taken off the width and ten off the height until it fits, so that what is long
#   gets longer: a picture of 8000 x 1300 and 10 MB is sent as 7520 x 820: 6.2 times as wide as high before,
#   9.2 times after.
# Who is hurt: panoramas, long screenshots and strips of charts, in the accuracy of one vendor's models only: the
#   other clients send them as they are.
# The function that counts here, out of a file that imports more of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pillow==12.0.0 numpy==2.3.5
"$folder/env/bin/pip" install --quiet --no-deps crfm-helm==0.5.16
cat > "$folder/run.py" <<'PY'
import ast
import os
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import numpy as np
from PIL import Image

path = Path(distribution("crfm-helm").locate_file("helm/common/images_utils.py"))
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body
             if isinstance(part, ast.FunctionDef) and part.name == "resize_image_to_max_file_size"]
theirs = {"os": os, "Image": Image}
exec(compile(tree, str(path), "exec"), theirs)

SIZE, LIMIT = (8000, 1300), 5 * 1024 * 1024  # the service's limit for one picture
source, sent = Path(sys.argv[1], "source.jpg"), Path(sys.argv[1], "sent.jpg")
Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0]), dtype=np.uint8)).save(
    source, quality=95
)
theirs["resize_image_to_max_file_size"](str(source), str(sent), LIMIT)
width, height = Image.open(sent).size
print(f"crfm-helm {version('crfm-helm')}: {SIZE[0]} x {SIZE[1]} ({source.stat().st_size} bytes) is sent as "
      f"{width} x {height} ({sent.stat().st_size} bytes)")
print(f"width by height: {SIZE[0] / SIZE[1]:.2f} before, {width / height:.2f} after")
sys.exit(not (width - SIZE[0] == height - SIZE[1] < -100 and width / height > 1.5 * SIZE[0] / SIZE[1]))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
