#!/usr/bin/env bash
# mlx-vlm 0.7.10 and transformers 5.24.0: the crops that InternVL cuts a picture into.
#
# Guess: both follow InternVL's published rule, so that a picture has the same crops in both.
# What happens: where grids have the same shape (1 x 1, 2 x 2, 3 x 3), the published rule, which
#   transformers follows, takes the larger one once the picture has more than half of its pixels; mlx-vlm
#   takes the one whose pixels are closer. Squares are the case: 640 x 640 is 1 crop in mlx-vlm and 5
#   (4 and the thumbnail) in transformers, 1024 x 1024 is 5 and 10. Most other shapes agree.
# Who is hurt: square pictures (icons, posters, satellite tiles) on a Mac: a quarter of the detail, and
#   accuracy and speed that are not comparable with the same weights elsewhere.
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

from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

# The file alone: the package around it asks for all that serving needs. What it registers the class
# with is not used.
for name in ("mlx_vlm", "mlx_vlm.models", "mlx_vlm.models.base"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mlx_vlm.models.base"].install_auto_processor_patch = lambda *arguments, **named: None
path = distribution("mlx-vlm").locate_file("mlx_vlm/models/internvl_chat/processor.py")
spec = importlib.util.spec_from_file_location("mlx_vlm.models.internvl_chat.processor", path)
mlx = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mlx)
settings = {"size": {"height": 448, "width": 448}, "min_patches": 1, "max_patches": 12}
library = GotOcr2ImageProcessorPil(crop_to_patches=True, **settings)

seen = {}
for size in ((640, 480), (1920, 1080), (640, 640), (1024, 1024)):
    picture = Image.new("RGB", size)
    seen[size] = (
        mlx.InternVLImageProcessor().preprocess([picture])["num_patches_list"][0],
        int(library(picture, return_tensors="np")["num_patches"][0]),
    )
    print(f"{size[0]} x {size[1]}: mlx-vlm {version('mlx-vlm')} {seen[size][0]} crops, "
          f"transformers {version('transformers')} {seen[size][1]}, thumbnails counted")
sys.exit([*seen.values()] != [(13, 13), (9, 9), (1, 5), (5, 10)])
PY
"$folder/env/bin/python" "$folder/run.py"
