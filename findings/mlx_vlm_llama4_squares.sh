#!/usr/bin/env bash
# mlx-vlm 0.7.10, Llama 4's image processor (its own, which stands in for the one that needs torchvision).
#
# Guess: a large picture is cut into up to `max_patches` = 16 tiles and a whole one, as by transformers
#   5.24.0, where 2000 x 2000 gives 17 tiles, 640 x 480 five.
# What happens: tiles follow the shape alone, the fewest that have it, and no whole picture is added. A
#   square of any size is squashed into one tile of 336 x 336, 1920 x 1080 into two. `max_patches` 16 and 4
#   are the same for them.
# Who is hurt: documents and screenshots on a Mac: 144 tokens where the weights were trained on 2,448; a
#   count planned with the one library is wrong in the other by a factor of 17.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0 \
  "mlx[cpu]==0.32.4"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version
from unittest.mock import MagicMock

from PIL import Image

# The file alone: the package around it asks for all that serving needs. Neighbours are not used.
for name in ("mlx_vlm", "mlx_vlm.models"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mlx_vlm.models.base"] = MagicMock()
path = distribution("mlx-vlm").locate_file("mlx_vlm/models/llama4/processing_llama4.py")
spec = importlib.util.spec_from_file_location("mlx_vlm.models.llama4.processing_llama4", path)
llama4 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(llama4)

seen = {}
for size in ((336, 336), (2000, 2000), (640, 480), (1920, 1080)):
    seen[size] = tuple(
        llama4.Llama4ImageProcessor(max_patches=most).preprocess([Image.new("RGB", size)])[
            "pixel_values"
        ].shape[0]
        for most in (16, 4)
    )
    print(f"mlx-vlm {version('mlx-vlm')}: {size[0]} x {size[1]}: {seen[size][0]} tiles of 336 x 336 "
          f"(at most 16), {seen[size][1]} (at most 4)")
sys.exit([*seen.values()] != [(1, 1), (1, 1), (1, 1), (2, 2)])
PY
"$folder/env/bin/python" "$folder/run.py"
