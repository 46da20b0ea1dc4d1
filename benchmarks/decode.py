"""Decoding JPEG files, beside an older commit and other decoders; reading a folder's data file.

Run `python benchmarks/decode.py BEFORE [PHOTO ...]`, BEFORE being a folder with an older commit's
checkout (`git worktree add BEFORE 44dde4c`), PHOTOs real JPEG files; made-up ones are measured as
well. Prints ratios of times: above 1, this commit is faster. The older commit decodes in a process
of its own, which is asked for every file in turn; all on one thread, medians of turns in one order
and in the other. Decoders that are not installed, or do not import beside this PyTorch
(torchvision's), are left out by name.

Pixels: `exact` and `scaled` from the file's bytes to RGB; `batch` from the bytes to the patches of
a medium tier's crops and the global view, normalised, (crops + 1, patches, 588) float32. Beside it,
from the same bytes to as many patches: plain resizes of the decoder's pixels by torch (`resizes`),
and LLaVA-NeXT's preprocessor as transformers publishes it for Pillow (`LLaVA-NeXT`), which cuts an
image into a grid of crops of the same side and a view, without overlap.
Reading: 100,000 lines about 20,000 images until every size is known, as a run asks for them.
All in processor time, which others on the machine change less.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from older_commit import checkout
from PIL import Image
from torch.nn.functional import interpolate

from tierexp.imaging.decode import decode_image
from tierexp.imaging.preprocess import needed_size, preprocess, stack_views
from tierexp.imaging.resize import Resize
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.selection import select_crops

TURNS = 15
SIZES = ((480, 640), (1200, 1600), (3024, 4032))
KINDS: dict[str, dict[str, object]] = {
    "4:2:0": {}, "4:2:0, quality 75": {"quality": 75}, "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
}  # fmt: skip
LINES, IMAGES = 100_000, 20_000
GEOMETRY, RESIZE = CropGeometry(), Resize()

# Older commits kept their modules elsewhere; both of these names were there already.
BEFORE = """
import sys, time
from pathlib import Path
from tierexp.imaging.decode import decode_image
print("ready", flush=True)
for line in sys.stdin:
    content = Path(line.strip()).read_bytes()
    start = time.process_time()
    decode_image(content)
    print(time.process_time() - start, flush=True)
"""
READING = """
import sys, time
from tierexp.data.folder import FolderDataset
from tierexp.data.plan import readable_sizes
start = time.process_time()
dataset = FolderDataset(sys.argv[1], score=sys.argv[2])
lines = time.process_time()
for _ in range(2):  # for the digest of what is measured, and for the plan
    readable_sizes(dataset)
print(lines - start, time.process_time() - start)
"""


def photograph(height: int, width: int, **options: object) -> bytes:
    """A JPEG with the detail of a photograph: noise at every scale."""
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 128, np.float32)
    for scale in (2, 8, 32, 128):
        noise = 60 * rng.random((height // scale + 1, width // scale + 1, 3), np.float32) - 30
        picture += noise.repeat(scale, axis=0).repeat(scale, axis=1)[:height, :width]
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", **options)
    return file.getvalue()


def to_batch(content: bytes, size: tuple[int, int], scaled: bool) -> NDArray[np.float32]:
    """Ours, from the file to the patches of the crops."""
    tiling = select_crops(load_tier("medium"), *size).tiling
    how = tiling, RESIZE, GEOMETRY
    pixels = decode_image(content, least=needed_size(size, *how) if scaled else None)
    return to_patches(stack_views([preprocess(pixels, *how, image_size=size)])[0])


def to_patches(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(crops, patches, 588), normalised by CLIP's mean and deviation."""
    count, side = crops.shape[0], crops.shape[1]
    mean = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
    deviation = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
    normal = crops * (1 / (255 * deviation)) - mean / deviation
    patches = normal.reshape(count, side // 14, 14, side // 14, 14, 3).swapaxes(2, 3)
    return np.ascontiguousarray(patches.reshape(count, -1, 14 * 14 * 3), np.float32)


@cache
def others() -> dict[str, Callable[[bytes], object]]:
    """Decoders of other packages, as far as they import here."""
    found: dict[str, Callable[[bytes], object]] = {
        "Pillow": lambda content: np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    }
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except (ImportError, RuntimeError, OSError) as error:
        print(f"torchvision.io is left out: {str(error).splitlines()[0]}")
    else:
        found["torchvision.io"] = lambda content: decode_jpeg(
            torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB
        )
    return found


def by_resizes(decode: Callable[[bytes], object], content: bytes, tiling: Tiling) -> object:
    """The least that another decoder's pixels need: two resizes, cut into crops."""
    pixels = torch.as_tensor(decode(content))
    batch = pixels[None] if pixels.shape[0] == 3 else pixels[None].permute(0, 3, 1, 2)
    side, (rows, cols) = GEOMETRY.crop_size, tiling
    views = [
        interpolate(batch, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
        for size in ((rows * side, cols * side), (side, side))
    ]
    canvas = views[0].reshape(rows, side, cols, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return to_patches(torch.cat([views[1][None], canvas]).numpy())


def by_llava_next(content: bytes, tiling: Tiling) -> object:
    """As published, but for the grid, which is the one that our tier selects."""
    side = GEOMETRY.crop_size
    grid = [[tiling[0] * side, tiling[1] * side]]
    processor = _llava_next(side)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    values = processor(image, image_grid_pinpoints=grid, return_tensors="np")["pixel_values"][0]
    count = len(values)
    patches = values.reshape(count, 3, side // 14, 14, side // 14, 14).transpose(0, 2, 4, 3, 5, 1)
    return np.ascontiguousarray(patches.reshape(count, -1, 588), np.float32)


@cache
def _llava_next(side: int) -> Any:
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    square = {"height": side, "width": side}
    return LlavaNextImageProcessorPil(size={"shortest_edge": side}, crop_size=square)


class Before:
    """An older commit, decoding in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BEFORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(checkout / "src")}, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def seconds(self, file: Path) -> float:
        """What it takes to decode a file that is in memory."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def in_turn(clocks: Mapping[str, Callable[[], float]]) -> dict[str, NDArray[np.float64]]:
    """Seconds of each, (TURNS,), in one order and in the other."""
    times: dict[str, list[float]] = {name: [] for name in clocks}
    order = list(clocks.items())
    for turn in range(-2, TURNS):  # the first two warm up
        for name, clock in order[:: 1 if turn % 2 else -1]:
            seconds = clock()
            if turn >= 0:
                times[name].append(seconds)
    return {name: np.array(values) for name, values in times.items()}


def timed(function: Callable[[], object]) -> Callable[[], float]:
    def clock() -> float:
        start = time.process_time()
        function()
        return time.process_time() - start

    return clock


def decoding(before: Before, file: Path, name: str) -> None:
    """One line for one file."""
    content = file.read_bytes()
    pixels = decode_image(content)
    size = pixels.shape[0], pixels.shape[1]
    tiling = select_crops(load_tier("medium"), *size).tiling
    least = needed_size(size, tiling, RESIZE, GEOMETRY)
    exact = in_turn({
        "ours": timed(lambda: decode_image(content)),
        "scaled": timed(lambda: decode_image(content, least=least)),
        "before": lambda: before.seconds(file),
        **{name: timed(lambda d=decode: d(content)) for name, decode in others().items()},
    })  # fmt: skip
    batch = in_turn({
        "ours": timed(lambda: to_batch(content, size, scaled=False)),
        "scaled": timed(lambda: to_batch(content, size, scaled=True)),
        "LLaVA-NeXT": timed(lambda: by_llava_next(content, tiling)),
        **{
            f"{name}, resizes": timed(lambda d=decode: by_resizes(d, content, tiling))
            for name, decode in others().items()
        },
    })  # fmt: skip
    print(f"{name:22} decode: {beside(exact)}")
    print(f"{'':22} batch:  {beside(batch)}", flush=True)


def beside(times: Mapping[str, NDArray[np.float64]]) -> str:
    """The median of each turn's ratio to ours, and of ours to its scaled sister."""
    ratios = {name: np.median(value / times["ours"]) for name, value in times.items()}
    del ratios["ours"]
    faster = 1 / ratios.pop("scaled")
    others = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return f"{others}; exact / scaled {faster:.2f}"


def reading(checkout: Path, folder: Path) -> None:
    """The whole time before a plan, beside that of the older commit."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    contents = [photograph(120 + 8 * i, 160, quality=60) for i in range(20)]
    for place in range(IMAGES):
        (folder / "images" / f"{place:06}.jpg").write_bytes(contents[place % len(contents)])
    common = [f"answer {rank}" for rank in range(3000)]
    for score, answers in (("exact_match", 1), ("vqa", 10)):
        file = folder / f"{score}.jsonl"
        with file.open("w") as out:
            for line in range(LINES):
                # What people answer is spread as Zipf has it.
                ranks = np.minimum(rng.zipf(1.3, answers), 3000) - 1
                fields = {
                    "id": f"q{line}", "image": f"images/{line // 5:06}.jpg",
                    "question": f"What is it, in picture {line}?",
                    "answers": [common[rank] for rank in ranks],
                }  # fmt: skip
                out.write(json.dumps(fields) + "\n")
        ratios = []
        for _ in range(3):
            seconds = [
                np.array(
                    subprocess.run(
                        [sys.executable, "-c", READING, str(file), score],
                        env={**os.environ, "PYTHONPATH": str(source)},
                        check=True, capture_output=True, text=True,
                    ).stdout.split(), float,
                )
                for source in (checkout / "src", Path(__file__).parents[1] / "src")
            ]  # fmt: skip
            ratios.append(seconds[0] / seconds[1])
        lines, whole = np.median(ratios, axis=0)
        print(f"{LINES} lines, {score:11}: lines {lines:.1f}, with every size {whole:.1f}")


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit("usage: python benchmarks/decode.py BEFORE [PHOTO ...]")
    torch.set_num_threads(1)
    older = checkout(Path(sys.argv[1]))
    before = Before(older)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for height, width in SIZES:
            for kind, options in KINDS.items():
                file = folder / "a.jpg"
                file.write_bytes(photograph(height, width, **{"quality": 90, **options}))
                decoding(before, file, f"{width} x {height} {kind}")
        for photo in sys.argv[2:]:
            decoding(before, Path(photo), Path(photo).name)
        reading(older, folder)


if __name__ == "__main__":
    main()
