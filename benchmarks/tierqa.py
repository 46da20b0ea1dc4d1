"""Generated pictures: how fast scenes and their pixels are made on one core.

Run `python benchmarks/tierqa.py`.
"""

from __future__ import annotations

import time

from tierexp.data.tierqa import TierQA
from tierexp.data.tierqa.generator import generate_scene, scene_size
from tierexp.data.tierqa.render import render

PICTURES = 500


def main() -> None:
    """Print milliseconds per picture and pictures per second."""
    start = time.perf_counter()
    sizes = [scene_size("benchmark", index) for index in range(PICTURES)]
    sized = time.perf_counter()
    scenes = [generate_scene("benchmark", index) for index in range(PICTURES)]
    made = time.perf_counter()
    for scene in scenes:
        render(scene)
    drawn = time.perf_counter()
    dataset = TierQA("test", max_samples=PICTURES)
    for index in range(PICTURES):
        dataset[index]
    asked = time.perf_counter()
    megapixels = sum(height * width for height, width in sizes) / PICTURES / 1e6
    print(f"{PICTURES} pictures of {megapixels:.2f} megapixels on average, one core")
    for what, seconds in (
        ("size", sized - start),
        ("scene", made - sized),
        ("pixels", drawn - made),
        ("scene and pixels", drawn - sized),
        ("sample without its picture", asked - drawn),
    ):
        print(f"{what:27} {seconds / PICTURES * 1e3:7.3f} ms {PICTURES / seconds:9.0f} a second")


if __name__ == "__main__":
    main()
