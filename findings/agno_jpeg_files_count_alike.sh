#!/usr/bin/env bash
# agno 3.1.10: `count_image_tokens`, which its agents count a message's pictures with.
#
# Guess: one picture has one count: as bytes or as a file, as JPEG or as PNG.
# What happens: of a file only the first 100 bytes are read. A PNG has its size there, a JPEG behind its tables,
#   so every JPEG file counts as 1024 x 1024, 765 tokens. The same bytes in memory are counted by their size,
#   unless `format="jpg"` says what they are: only "jpeg" is known, and 1024 x 1024 is taken again. A
#   thumbnail of 200 x 150 has 765 for 255, a page of 768 x 2000 has 765 for 1,445. Nothing is said.
# Who is hurt: agents that compact their history by that count: cameras and scanners write JPEG.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet agno==3.1.10 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

import PIL.Image
from agno.media import Image
from agno.utils.tokens import count_image_tokens

SIZES = ((200, 150), (768, 2000))
seen = {}
for size in SIZES:
    for kind in ("png", "jpeg"):
        path = Path(sys.argv[1], f"picture.{kind}")
        PIL.Image.new("RGB", size, (90, 120, 60)).save(path)
        seen[size, kind] = (
            count_image_tokens(Image(content=path.read_bytes())),
            count_image_tokens(Image(filepath=path)),
        )
        print(f"agno {version('agno')}: {size[0]} x {size[1]} as {kind}: {seen[size, kind][0]} tokens "
              f"from memory, {seen[size, kind][1]} from a file")
    named = count_image_tokens(Image(content=path.read_bytes(), format="jpg"))
    seen[size, "jpg"] = named
    print(f"agno {version('agno')}: {size[0]} x {size[1]} from memory with format='jpg': {named} tokens")
small, page = SIZES
sys.exit(
    seen
    != {
        (small, "png"): (255, 255), (small, "jpeg"): (255, 765), (small, "jpg"): 765,
        (page, "png"): (1445, 1445), (page, "jpeg"): (1445, 765), (page, "jpg"): 765,
    }
)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
