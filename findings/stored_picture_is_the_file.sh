#!/usr/bin/env bash
# datasets 5.2.0 and mosaicml-streaming 0.13.0: storing a Pillow picture that was read from a JPEG file and
# made smaller with `thumbnail`, which works in place.
#
# Guess: what the object shows is what is stored: 336 x 252.
# What happens: both look at the object's `filename` first and take the file (datasets its path, the
#   other its bytes). What comes back is 1200 x 900, also behind `map`, whose function handed back the
#   small one. `resize`, which makes a new object, is stored as it is.
# Who is hurt: whoever prepares a data set at a smaller size: token counts, latencies and accuracies are
#   those of the full pictures, under the name of the small ones. `crop` and `rotate` are new objects;
#   `thumbnail` and `paste` are not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet datasets==5.2.0 pillow==12.0.0 numpy==2.3.5
"$folder/env/bin/pip" install --quiet --no-deps mosaicml-streaming==0.13.0
cat > "$folder/run.py" <<'PY'
import importlib.util
import io
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

datasets.disable_progress_bars()
file = Path(sys.argv[1]) / "photo.jpg"
Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1200, 3), dtype=np.uint8)).save(file)
# The file alone: the package around it asks for all that streaming from a cloud needs.
path = distribution("mosaicml-streaming").locate_file("streaming/base/format/mds/encodings.py")
spec = importlib.util.spec_from_file_location("encodings_of_mds", path)
mds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mds)


def small() -> Image.Image:
    picture = Image.open(file)
    picture.thumbnail((336, 336))
    return picture


def mapped(change) -> tuple[int, int]:
    whole = datasets.Dataset.from_dict({"image": [str(file)]}).cast_column("image", datasets.Image())
    return whole.map(lambda row: {"image": change(row["image"])})[0]["image"].size


seen = {
    "the object": small().size,
    "datasets, from_dict": datasets.Dataset.from_dict({"image": [small()]})[0]["image"].size,
    "datasets, map with thumbnail": mapped(lambda image: image.thumbnail((336, 336)) or image),
    "datasets, map with resize": mapped(lambda image: image.resize((336, 252))),
    "mosaicml-streaming, jpeg": Image.open(io.BytesIO(mds.JPEG().encode(small()))).size,
}
print(*(f"{name} {version(name)}" for name in ("datasets", "mosaicml-streaming")))
for name, size in seen.items():
    print(f"{name}: {size[0]} x {size[1]}")
whole, made_small = (1200, 900), (336, 252)
sys.exit([*seen.values()] != [made_small, whole, whole, made_small, whole])
PY
HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 "$folder/env/bin/python" "$folder/run.py" "$folder"
