#!/usr/bin/env bash
# mlx-vlm 0.7.10, its image processor for Phi-3.5-Vision (its own, which stands in for the published one).
#
# Guess: a picture keeps its shape and is padded to whole crops of 336, as the model's own processor does; its
#   `_pad_to_336` is there for that.
# What happens: the picture is resized to the padded size, so that nothing is left to pad. With the default of
#   four crops a photo of 640 x 480 is stretched to 672 x 672, its circles a third higher than wide; a line of
#   text of 1500 x 300 is made 1.27 times as high. A shape that whole crops have is right: 640 x 480 with 16.
# Who is hurt: shapes, charts and print on a Mac, while crops and tokens are as many as they should be; accuracy
#   that is not comparable with the same weights elsewhere.
# The file alone: the package around it asks for all that serving needs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0 "mlx[cpu]==0.32.4"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version
from unittest.mock import MagicMock

import numpy as np
from PIL import Image, ImageDraw

for name in ("mlx_vlm", "mlx_vlm.models"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mlx_vlm.models.base"] = MagicMock()
path = distribution("mlx-vlm").locate_file("mlx_vlm/models/phi3_v/processing_phi3_v.py")
spec = importlib.util.spec_from_file_location("mlx_vlm.models.phi3_v.processing_phi3_v", path)
phi3 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(phi3)

seen = {}
for size in ((640, 480), (480, 640), (1500, 300), (672, 672)):
    picture = Image.new("RGB", size, "black")
    radius, (x, y) = 100, (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill="white")
    for crops in (4, 16):
        views, (height, width) = phi3.Phi3VImageProcessor(num_crops=crops)._process_single_image(picture)
        circle = views[0].mean(0) > 0.5  # the whole picture, 336 x 336
        high = np.ptp(np.flatnonzero(circle.any(1))) * height / 336
        wide = np.ptp(np.flatnonzero(circle.any(0))) * width / 336
        seen[size, crops] = (width, height), round(float(high / wide), 1)
        print(f"mlx-vlm {version('mlx-vlm')}: {size[0]} x {size[1]}, at most {crops} crops: {width} x {height}, "
              f"a circle is {high / wide:.2f} times as high as wide")
sys.exit(
    seen
    != {
        ((640, 480), 4): ((672, 672), 1.3), ((640, 480), 16): ((1344, 1008), 1.0),
        ((480, 640), 4): ((672, 672), 0.7), ((480, 640), 16): ((1008, 1344), 1.0),
        ((1500, 300), 4): ((1344, 336), 1.3), ((1500, 300), 16): ((2688, 672), 1.3),
        ((672, 672), 4): ((672, 672), 1.0), ((672, 672), 16): ((1344, 1344), 1.0),
    }
)
PY
"$folder/env/bin/python" "$folder/run.py"
