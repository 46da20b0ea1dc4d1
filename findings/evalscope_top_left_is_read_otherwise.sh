#!/usr/bin/env bash
# evalscope 1.14.1, ScreenSpot-Pro: `to_normalized_point`, which works out what a model's numbers mean.
#
# Guess: a model that points in pixels is read in pixels, wherever it points: the function's notes say that
#   pixels of these screens lie above 1,000.
# What happens: where both numbers are at most 1,000 they are taken as thousandths of the sides. On 3840 x 2160
#   that is every point of an eighth of the screen, the part with menus, tabs and toolbars: (500, 60), on a menu,
#   is moved to (1920, 130). A point to the right of it or below is read as pixels.
# Who is hurt: models that answer in pixels: exact clicks in the upper left are misses, so that menus look hard for
#   them; accuracy by region or by kind of element.
# The functions alone, out of a package that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps evalscope==1.14.1
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

path = distribution("evalscope").locate_file("evalscope/benchmarks/screenspot_pro/utils.py")
spec = importlib.util.spec_from_file_location("screenspot_pro", path)
pro = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pro)

SIZE = WIDTH, HEIGHT = (3840, 2160)
seen = {}
for x, y in ((500, 60), (900, 900), (1100, 60), (500, 1300), (3000, 2000)):
    target = pro.normalize_bbox([x - 20, y - 20, x + 20, y + 20], WIDTH, HEIGHT)
    point = pro.to_normalized_point(pro.parse_point(f"Answer: [{x}, {y}]"), SIZE)
    seen[x, y] = pro.point_in_bbox(point, target)
    print(f"evalscope {version('evalscope')}: pixel ({x}, {y}) of {WIDTH} x {HEIGHT} is read as "
          f"({point[0] * WIDTH:.0f}, {point[1] * HEIGHT:.0f}): {'a hit' if seen[x, y] else 'a miss'}")
print(f"the part where both are at most 1,000: {1000 * 1000 / (WIDTH * HEIGHT):.0%} of the screen")
sys.exit([*seen.values()] != [False, False, True, True, True])
PY
"$folder/env/bin/python" "$folder/run.py"
