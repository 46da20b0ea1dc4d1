"""Runs without a model: a million image sizes from a CSV file to a results file.

Run `python benchmarks/model_free.py`. Each step is timed as the best of three; the whole command,
in a process of its own with everything it imports, once for each tier.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tierexp.data.sizes import read_sizes
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.tiers.files import load_tier

IMAGES = 1_000_000
TIERS = ("low", "medium", "high", "native")
ROOT = Path(__file__).resolve().parents[1]


def seconds(function: Callable[[], object], repeat: int = 3) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "sizes.csv"
        lines = (f"{height},{width}" for height, width in rng.integers(64, 4096, (IMAGES, 2)))
        file.write_text("\n".join(["height,width", *lines]))
        print(f"{IMAGES:,} random sizes")
        print(f"{'reading the CSV file':32} {seconds(lambda: read_sizes(file)):6.2f} s")
        sizes = read_sizes(file)
        for mode in ("fill", "letterbox"):
            for tier_name in TIERS:
                how = Preprocessing(load_tier(tier_name), resize=Resize(mode))
                best = seconds(lambda: how.measure(sizes.heights, sizes.widths))
                print(f"{f'statistics, {tier_name}, {mode}':32} {best:6.2f} s")
        for tier_name in TIERS:
            command = [
                sys.executable, "eval.py", "model=none", "data=sizes", f"data.path={file}",
                f"tier={tier_name}", f"output_dir={name}/out",
            ]  # fmt: skip
            run = seconds(
                lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True), 1
            )
            print(f"{f'the whole command, {tier_name}':32} {run:6.2f} s")


if __name__ == "__main__":
    main()
