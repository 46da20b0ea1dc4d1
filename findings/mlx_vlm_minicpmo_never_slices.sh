#!/usr/bin/env bash
# mlx-vlm 0.7.10, its image processor for MiniCPM-o (its own), with the settings that checkpoints have.
#
# Guess: `max_slice_nums=9` and `slice_mode=True` cut a page into up to nine slices and an overview, 64 tokens
#   each, as the published processor does and transformers' for MiniCPM-V 4.6.
# What happens: both settings are taken and nothing reads them. Every picture is one view of about 448 x 448 pixels
#   and 64 tokens: a page of 1700 x 2200 is shrunk to 392 x 504, a line of text of 2000 x 200 to 1414 x 140.
# Who is hurt: documents, charts and screenshots on a Mac: a twentieth of the pixels with the weights' own settings,
#   and no word of it; prompts that are up to ten times as short as where they were measured.
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

from PIL import Image

for name in ("mlx_vlm", "mlx_vlm.models"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mlx_vlm.models.base"] = MagicMock()
path = distribution("mlx-vlm").locate_file("mlx_vlm/models/minicpmo/processing_minicpmo.py")
spec = importlib.util.spec_from_file_location("mlx_vlm.models.minicpmo.processing_minicpmo", path)
minicpmo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(minicpmo)

processor = minicpmo.MiniCPMOImageProcessor(
    max_slice_nums=9, slice_mode=True, scale_resolution=448, patch_size=14, image_feature_size=64
)
seen = {}
for size in ((448, 448), (1700, 2200), (2000, 200)):
    views = processor([[Image.new("RGB", size)]])["pixel_values"][0]
    (_, height, width), = [view.shape for view in views]
    seen[size] = len(views), (width, height), processor.image_placeholder.count(processor.unk)
    print(f"mlx-vlm {version('mlx-vlm')}: {size[0]} x {size[1]} with max_slice_nums=9: {len(views)} view of "
          f"{width} x {height}, {seen[size][2]} tokens")
sys.exit([*seen.values()] != [(1, (448, 448), 64), (1, (392, 504), 64), (1, (1414, 140), 64)])
PY
"$folder/env/bin/python" "$folder/run.py"
